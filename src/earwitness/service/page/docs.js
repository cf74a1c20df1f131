// The addresses of the service, from what it says of itself in /openapi.json.

import { ask } from "./ask.js";

function element(tag, words = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = words;
  made.className = className;
  return made;
}

function typeOf(schema) {
  if (schema.anyOf) return schema.anyOf.map(typeOf).filter((word) => word !== "null").join(" or ");
  if (schema.enum) return schema.enum.join(", ");
  return schema.const ?? schema.type;
}

function table(head, rows) {
  const made = element("table");
  const line = (tag, words) => {
    const row = element("tr");
    row.append(...words.map((word) => element(tag, word)));
    return row;
  };
  const [top, body] = [element("thead"), element("tbody")];
  top.append(line("th", head));
  body.append(...rows.map((row) => line("td", row)));
  made.append(top, body);
  const frame = element("div", "", "scroll");
  frame.tabIndex = 0;
  frame.append(made);
  return frame;
}

function section(path, method, what) {
  const card = element("section", "", "card");
  const title = element("h2", "", "address");
  title.append(element("code", `${method.toUpperCase()} ${path}`));
  card.append(title, element("p", `${what.summary}.`));
  const file = method === "post" ? " --data-binary @film.mp4" : "";
  card.append(element("pre", `curl${file} '${location.origin}${path}${file && "?name=film.mp4"}'`));
  const parameters = what.parameters ?? [];
  if (parameters.length) {
    const rows = parameters.map(({ name, schema, description }) => [
      name, typeOf(schema), String(schema.default ?? ""), description ?? "",
    ]);
    card.append(table(["Parameter", "Values", "Default", ""], rows));
  }
  const answers = Object.entries(what.responses).map(([status, { description, content }]) => [
    status, Object.keys(content ?? {}).join(", "), description,
  ]);
  const details = element("details");
  details.append(element("summary", "Answers"), table(["Status", "Type", ""], answers));
  card.append(details);
  return card;
}

const about = document.getElementById("about");
const { info, paths } = await ask("/openapi.json").catch((error) => {
  about.textContent = error.message;
  throw error;
});
about.textContent = info.description.replaceAll("`", "");
document.getElementById("addresses").append(
  ...Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, what]) => section(path, method, what)),
  ),
);
