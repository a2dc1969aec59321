"""The page on the HTTP interface, from the OpenAPI document that the service itself sends."""

import json

from symbols import one_line

LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "below",
    "maxLength": "length to",
}  # of a JSON schema, in words


def _choices(schema: dict) -> str:
    values = schema.get("enum", [schema.get("const")])
    return ", ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in values)


def _scalar(schema: dict) -> str:
    words = [schema.get("format") or schema.get("type") or "any"]
    for key, word in LIMITS.items():
        if key in schema:
            words.append(f"{word} {schema[key]:,}".replace(",", " "))
    return " ".join(words)


def schema_type(
    schema: dict,  # JSON schema
) -> str:
    "A JSON schema in a few words."
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#schema-{name.lower()})"
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(schema_type(option) for option in options))
    if "const" in schema or "enum" in schema:
        return _choices(schema)
    if schema.get("type") == "array":
        return f"list of {schema_type(schema.get('items', {}))}"
    return _scalar(schema)


def _without_null(facts: dict) -> dict:
    "A field that may be null, as the schema of its value."
    options = [option for option in facts.get("anyOf", [facts]) if option.get("type") != "null"]
    if len(options) != 1:
        return facts
    return {key: value for key, value in (facts | options[0]).items() if key != "anyOf"}


def field_row(
    name: str,
    facts: dict,  # its schema, with the labels of the form
    required: bool,
) -> str:  # a row of a Markdown table
    "A field as a row, in the words of the form and of the errors."
    facts = _without_null(facts)
    labels = facts.get("x-labels") or {}
    choices = ", ".join(f"`{code}` {label}" for code, label in labels.items())
    words = [facts[key] for key in ("x-label", "x-unit", "x-hint") if facts.get(key)]
    meaning = "; ".join(words) or facts.get("description")
    mark = "yes" if required else ""
    return f"| `{name}` | {choices or schema_type(facts)} | {mark} | {one_line(meaning)} |"


def _example(name: str, value) -> list[str]:
    title = [f"Example `{name}`:", ""] if name else []
    return [*title, "```json", json.dumps(value, indent=1, ensure_ascii=False), "```", ""]


def _parameters(operation: dict) -> list[str]:
    rows = []
    for parameter in operation.get("parameters", []):
        if "name" in parameter:
            kind = schema_type(parameter.get("schema", {}))
            meaning = one_line(parameter.get("description"))
            rows.append(f"| `{parameter['name']}` | {parameter['in']} | {kind} | {meaning} |")
    if not rows:
        return []
    return ["| parameter | in | type | meaning |", "|---|---|---|---|", *rows, ""]


def _body(operation: dict) -> list[str]:
    lines = []
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        lines += [f"The body, `{media}`: {schema_type(content.get('schema', {}))}.", ""]
        if "example" in content:
            lines += _example("", content["example"])
            continue
        for name, example in content.get("examples", {}).items():
            lines += _example(name, example.get("value"))
    return lines


def _responses(operation: dict) -> list[str]:
    lines = ["| status | meaning | body |", "|---|---|---|"]
    for status, response in operation["responses"].items():
        contents = response.get("content", {}).values()
        body = " or ".join(schema_type(content.get("schema", {})) for content in contents) or "-"
        kinds = [f"`{kind}`" for content in contents for kind in content.get("examples", {})]
        if kinds:
            body += f": {', '.join(kinds)}"
        lines.append(f"| {status} | {one_line(response['description'])} | {body} |")
    return [*lines, ""]


def _operation(method: str, path: str, operation: dict) -> list[str]:
    lines = [
        f"## {method.upper()} {path}",
        "",
        operation.get("summary", "") + ".",
        "",
        operation.get("description", ""),
        "",
    ]
    if operation.get("security"):
        lines += ["Needs the header `Authorization: Bearer KEY`.", ""]
    return lines + _parameters(operation) + _body(operation) + _responses(operation)


def _schema(name: str, schema: dict) -> list[str]:
    lines = [
        f"(schema-{name.lower()})=",
        f"### {name}",
        "",
        one_line(schema.get("description")),
        "",
        "| field | type | required | meaning |",
        "|---|---|---|---|",
    ]
    required = schema.get("required", ())
    for field, facts in schema.get("properties", {}).items():
        lines.append(field_row(field, facts, field in required))
    return [*lines, ""]


def http_page(
    document: dict,  # OpenAPI
) -> str:  # Markdown
    "The HTTP reference."
    lines = [
        "# The HTTP interface",
        "",
        f"> {document['info']['description']} "
        "Written from the OpenAPI document that the service sends at `/openapi.json`.",
        "",
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                lines += _operation(method, path, operation)
    lines += ["## Schemas", "", "A field that is not required may be left out, or be null.", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += _schema(name, schema)
    return "\n".join(lines)
