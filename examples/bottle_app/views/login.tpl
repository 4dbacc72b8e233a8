% rebase("base")
<main class="narrow">
  <h1>Poll</h1>
  % if problem:
  <p class="problem" role="alert">{{problem}}</p>
  % end
  <form method="post" action="/login">
    <label>Name <input name="name" id="name" autocomplete="username" required maxlength="40"></label>
    <label>Password <input name="password" id="password" type="password" autocomplete="current-password" required></label>
    <p class="buttons">
      <button class="first">Log in</button>
      <button formaction="/join">Create an account</button>
    </p>
  </form>
</main>
