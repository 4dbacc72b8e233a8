.venv/
__pycache__/
