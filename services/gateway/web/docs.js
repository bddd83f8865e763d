// Shows /openapi.json: paths by tag, each with its parameters, body and answers.
import { call } from "./gateway.js";

const make = (tag, text, ...children) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  node.append(...children);
  return node;
};
const nameOf = (schema) => schema.$ref ? schema.$ref.split("/").pop() : "";
const typeOf = (schema) => {
  if (schema.$ref) return nameOf(schema);
  if (schema.type === "array") return `[${typeOf(schema.items)}]`;
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.additionalProperties) return `{name: ${typeOf(schema.additionalProperties)}}`;
  return [schema.type, schema.format].filter(Boolean).join(" ") || "any";
};
function fields(schema, document_, seen = new Set()) {
  const name = nameOf(schema) || (schema.items && nameOf(schema.items));
  const found = name ? document_.components.schemas[name] : schema;
  if (!found || !found.properties || seen.has(name)) return "";
  const table = make("table");
  const nested = make("div"); nested.className = "deep";
  for (const [field, of] of Object.entries(found.properties)) {
    table.append(make("tr", "", make("td", "", make("code", field)), make("td", typeOf(of)), make("td", of.description || "")));
    const inner = nameOf(of) || (of.items && nameOf(of.items));
    if (inner && !seen.has(inner)) {
      const more = fields({ $ref: inner }, document_, new Set([...seen, name]));
      if (more) nested.append(make("details", "", make("summary", `${field}: ${inner}`), more));
    }
  }
  return make("div", "", table, nested);
}
function operation(path, method, does, document_) {
  const title = make("summary");
  const word = make("span", method.toUpperCase()); word.className = "method";
  const say = make("span", ` – ${does.summary || ""}`); say.className = "soft";
  title.append(word, make("code", path), say);
  const card = make("details", "", title);
  if (does.parameters && does.parameters.length) {
    const table = make("table");
    for (const one of does.parameters)
      table.append(make("tr", "", make("td", "", make("code", one.name)), make("td", `${one.in}, ${typeOf(one.schema || {})}`), make("td", one.description || "")));
    card.append(make("h4", "Parameters"), table);
  }
  for (const [type, body] of Object.entries((does.requestBody || {}).content || {}))
    card.append(make("h4", `Body (${type})`), fields(body.schema || {}, document_));
  for (const [status, answer] of Object.entries(does.responses || {})) {
    if (status === "422") continue;
    const content = Object.values(answer.content || {})[0];
    card.append(make("h4", `${status}: ${answer.description || ""}`), content ? fields(content.schema || {}, document_) : "");
  }
  return card;
}
call("GET", "/openapi.json").then((document_) => {
  const whole = new Blob([JSON.stringify(document_, null, 2)], { type: "application/json" });
  document.getElementById("document").href = URL.createObjectURL(whole); // a link would bring no token
  for (const part of document_.info.description.trim().split("\n\n"))
    document.getElementById("about").append(make("p", part));
  const groups = new Map();
  for (const [path, methods] of Object.entries(document_.paths))
    for (const [method, does] of Object.entries(methods)) {
      const tag = (does.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(path, method, does, document_));
    }
  const paths = document.getElementById("paths");
  paths.textContent = "";
  for (const [tag, cards] of groups) paths.append(make("h2", tag), ...cards);
}).catch((error) => { document.getElementById("paths").textContent = `The API's description did not load: ${error}`; });
