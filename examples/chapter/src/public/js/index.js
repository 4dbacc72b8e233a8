// The room picker: a name becomes an address.

const form = document.querySelector("#picker");
const nameInput = document.querySelector("#picker-room");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  // A slash would be another path, and a browser resolves "." and ".." away.
  const name = nameInput.value.trim().replace(/[/\\]+/g, "-");
  if (/^\.{0,2}$/.test(name)) {
    nameInput.setCustomValidity("Please give the room a name, such as general.");
    nameInput.reportValidity();
    return;
  }
  const kind = new FormData(form).get("kind");
  location.assign(`${kind}/${encodeURIComponent(name)}`);
});
nameInput.addEventListener("input", () => nameInput.setCustomValidity(""));
