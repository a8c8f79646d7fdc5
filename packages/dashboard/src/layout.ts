/** The frame of every page. */
import { type Html, type HtmlValue, html } from './html.ts';

export function page(title: string, body: HtmlValue, search = ''): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Mailfleet</title>
<link rel="icon" type="image/svg+xml" href="/icon.svg">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header class="top">
<a class="brand" href="/">Mailfleet</a>
<nav><a href="/messages">Messages</a><a href="/jobs">Jobs</a></nav>
<form class="search" action="/find" method="get" role="search">
<input type="search" name="id" value="${search}" placeholder="Queue id" aria-label="Queue id" autocomplete="off" spellcheck="false" required>
<button>Find</button>
</form>
</header>
<main>
${body}
</main>
</body>
</html>
`;
}

/** A page that says one thing. */
export function sentencePage(title: string, sentence: string, search = ''): Html {
  return page(
    title,
    html`<h1>${title}</h1><p>${sentence}</p><p><a href="/">To the start page</a></p>`,
    search,
  );
}
