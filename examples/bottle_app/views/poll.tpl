% rebase("base")
% most = max([1, *(len(one["voters"]) for one in standing)])
<header>
  <h1>Poll</h1>
  <span id="status" role="status" data-state="connecting">Connecting…</span>
  <form method="post" action="/logout">
    <span class="who">{{user}}</span>
    <button>Log out</button>
  </form>
</header>
<main>
  <h2>{{question}}</h2>
  <form id="choices" method="post" action="/vote" data-live="{{live}}" data-user="{{user}}">
    % for one in standing:
    <button name="choice" value="{{one["choice"]}}" aria-pressed="{{str(user in one["voters"]).lower()}}">
      <span class="text">{{one["choice"]}}</span>
      <span class="count">{{len(one["voters"])}}</span>
      <meter min="0" max="{{most}}" value="{{len(one["voters"])}}"></meter>
      <span class="who">{{", ".join(one["voters"]) or "nobody"}}</span>
    </button>
    % end
  </form>
  <form method="post" action="/choices">
    <label for="text">Something else?</label>
    <p class="buttons">
      <input name="text" id="text" required maxlength="60" autocomplete="off">
      <button class="first">Add</button>
    </p>
  </form>
  <p id="problem" class="problem" role="alert" hidden></p>
</main>
<script type="module" src="/static/poll.js"></script>
