"""The pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from tickets import views

urlpatterns = [
    path("", views.board, name="board"),
    path("add", views.add, name="add"),
    path("toggle", views.toggle, name="toggle"),
    path("login", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
]
