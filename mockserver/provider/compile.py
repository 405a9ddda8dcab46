"""From located documents to a `Provider`: operations, channels, machine, errors and variants, compiled.

Compiling refuses what makes no sense where it stands; what takes a whole sample world to see is `checks.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mockserver.errors import nearest
from mockserver.provider import values
from mockserver.provider.documents import Documents, Located
from mockserver.provider.drawing import Drawer, check_events
from mockserver.provider.encoding import JSON_STYLES, encoder
from mockserver.provider.machines import compile_machine, names_of
from mockserver.provider.model import (
    Channel,
    Draw,
    Message,
    Operation,
    Provider,
    Refusal,
    Request,
    Response,
    Variant,
    Verb,
    Violation,
)
from mockserver.provider.reading import Reader
from mockserver.provider.refusals import by_condition, compile_errors
from mockserver.provider.requests import bytes_value, missing, request_reader, request_violations
from mockserver.provider.servers import places, server_variables
from mockserver.provider.validation import Validators
from mockserver.provider.vocabulary import VERBS

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
OF_FILES = ("upload", "presign", "adopt", "download")


class Compiler:
    """Compiles one folder with one choice of readings."""

    def __init__(
        self, name: str, documents: Documents, variants: Mapping[str, Variant], readings: Mapping[str, str]
    ) -> None:
        self.name = name
        self.documents = documents
        self.variants, self.readings = variants, readings
        api: Located = documents["openapi.json"]
        self.api = api
        self.wire: Mapping[str, Any] = api.get("x-wire", {})
        style = self.wire.get("json", "compact")
        if style not in JSON_STYLES:
            raise api.error(f"is {style!r}; known: {', '.join(JSON_STYLES)}", "x-wire", "json")
        self.style: str = style
        self.server = server_variables(api)
        self.names = names_of(documents["machine.json"], self.server)
        self.drawer = Drawer(documents, self.names)
        self.reader = Reader(documents, self.drawer)
        self.validators = Validators(documents.plain)
        self.machine = compile_machine(documents["machine.json"], self.names)
        self.errors = compile_errors(documents["errors.json"], self.names, self._places())

    def provider(self) -> Provider:
        """Compile everything and return the provider."""
        hosts, mounts = places(self.api, self.server)
        info = self.api.get("info", {})
        operations = tuple(self._operation(*found) for found in self._bodies())
        return Provider(
            name=self.name,
            title=info.get("title", self.name),
            version=str(info.get("version", "")),
            hosts=hosts,
            mounts=mounts,
            server=self.server,
            operations=operations,
            channels=tuple(self._channels()),
            machine=self.machine,
            refusals=self._conditions("refusals", None),
            failures=self._conditions("failures", None),
            problems=self._conditions("problems", None),
            errors={entry.name: entry for section in self.errors.values() for entry in section},
            variants=self.variants,
            readings=self.readings,
            wire=self.wire,
            documents=self.documents.plain,
            getter=self._getter,
            security_schemes=self.api.get("components", {}).get("securitySchemes", {}),
            answers=self._answers(),
        )

    def _places(self) -> list[str]:
        """Return what an entry of errors.json may be for: ids of operations, names of channels."""
        bodies = [body for _, _, _, body in self._bodies()]
        for body in bodies:
            if "operationId" not in body:
                raise body.error("has no operationId; errors.json, links and recordings name it by that")
        channels = (self.documents.get("asyncapi.json") or {}).get("channels", {})
        return [*(body["operationId"] for body in bodies), *channels]

    def _conditions(self, section: str, place: str | None) -> Mapping[str, tuple[Refusal, ...]]:
        return by_condition(self.errors[section], place)

    def _getter(self, name: str) -> Callable[..., Any]:
        return values.text(name, self.names) if values.is_template(name) else values.getter(name, self.names)

    def _answers(self) -> Mapping[str, Response]:
        pointers = {entry.answer for entry in self.errors["refusals"] if entry.answer}
        answers = {}
        for pointer in sorted(pointers):
            named = self.documents.follow(f"openapi.json{pointer}", self.documents["errors.json"])
            answers[pointer] = self._response(0, named, "task")[0]
        return answers

    # openapi.json

    def _bodies(self) -> Iterator[tuple[str, str, Located, Located]]:
        """Yield path, method, path item and operation of every operation."""
        for path, item in self.api.get("paths", {}).items():
            yield from ((path, method, item, item[method]) for method in METHODS if method in item)

    def _operation(self, path: str, method: str, item: Located, body: Located) -> Operation:
        name = body["operationId"]
        verb = self._verb(body)
        parameters = [self.documents.deref(one) for one in [*item.get("parameters", ()), *body.get("parameters", ())]]
        media, schema, required = self._request_body(body)
        read = request_reader(parameters, schema, reader=self.reader, documents=self.documents)
        responses: list[Response] = []
        for status, response in body.get("responses", {}).items():
            if status.isdigit() and int(status) < 400:
                responses.extend(self._response(int(status), self.documents.deref(response), verb.of))
        return Operation(
            id=name,
            method=method.upper(),
            path=path,
            verb=verb,
            security=self._security(body),
            media=media,
            body_required=required,
            read=read,
            violations=request_violations(parameters, schema, validators=self.validators, documents=self.documents),
            responses=tuple(responses),
            refusals=self._conditions("refusals", name),
            pointer=body.pointer,
            source=body.get("x-source", {}),
            examples=(),
        )

    def _verb(self, body: Located) -> Verb:
        does = body.get("x-does")
        if does is None:
            raise body.error(f"has no x-does; a verb is needed: {', '.join(VERBS)}")
        (name, options), *more = [(does, Located())] if isinstance(does, str) else list(does.items())
        if more or name not in VERBS:
            near = "" if more else nearest(name, VERBS)
            raise body.error(f"is {does!r}; one verb is needed{near}; known: {', '.join(VERBS)}", "x-does")
        for option in options:
            if option not in VERBS[name]:
                allowed = ", ".join(sorted(VERBS[name])) or "none"
                raise body.error(f"{option!r} is no option of {name!r}; allowed: {allowed}", "x-does", name, option)
        of = options.get("of", "file" if name in OF_FILES else "task")
        if of not in self.names.kinds and of != "file":
            known = ", ".join(self.names.kinds)
            raise body.error(f"{of!r} is no kind of machine.json; known: {known}", "x-does", name, "of")
        self._options(options, of)
        return Verb(name, of, dict(options))

    def _options(self, options: Located, of: str) -> None:
        """Refuse states, delays and value names that do not exist."""
        wait, close = options.get("wait", Located()), options.get("close", Located())
        for place in (options, wait):
            for state in place.get("in", ()):
                if state not in self.names.states.get(of, (state,)):
                    known = ", ".join(self.names.states[of])
                    raise place.error(f"{state!r} is no state of a {of}; known: {known}", "in")
        for place, key in ((wait, "limit"), (close, "delay")):
            if key in place and place[key] not in self.names.delays:
                known = ", ".join(self.names.delays) or "none"
                raise place.error(f"{place[key]!r} is no delay of machine.json; known: {known}", key)
        for key in ("order", "one-per"):
            if key in options:
                self.drawer.getter(options[key].removeprefix("-"), options, key)
        if "when" in wait:
            self.drawer.test(wait["when"], wait, "when", of)

    def _security(self, body: Located) -> tuple[tuple[str, ...], ...]:
        wanted = body.get("security", self.api.get("security", ()))
        schemes = self.api.get("components", {}).get("securitySchemes", {})
        for alternative in wanted:
            for scheme in alternative:
                if scheme not in schemes:
                    raise body.error(
                        f"names the security scheme {scheme!r}, which components do not define", "security"
                    )
        return tuple(tuple(alternative) for alternative in wanted)

    def _request_body(self, body: Located) -> tuple[tuple[str, ...], Located | None, bool]:
        request = self.documents.deref(body.get("requestBody"))
        if request is None:
            return (), None, False
        content = request.get("content", {})
        media = tuple(content)
        schema = next((one.get("schema") for one in content.values()), None)
        return media, schema, request.get("required", False)

    def _response(self, status: int, response: Located, of: str) -> list[Response]:
        when = self.drawer.test(response["x-when"], response, "x-when", of) if "x-when" in response else None
        headers: list[tuple[str, str | Draw]] = []
        for name, header in response.get("headers", {}).items():
            schema = self.documents.deref(header).get("schema")
            always = self.documents.flat(schema).get("const") if isinstance(schema, Located) else None
            drawn = always if isinstance(always, str) else self.drawer.compile(schema, at_hand=of)
            headers.append((name.lower(), drawn))
        content = response.get("content", {})
        if not content:
            return [
                Response(
                    status, when, tuple(headers), None, None, lambda _: b"", lambda _: None, pointer=response.pointer
                )
            ]
        found = []
        for media, body in content.items():
            schema = body.get("schema")
            if schema is None:
                raise body.error("has no schema")
            bytes_of = bytes_value(self.documents.flat(schema))
            guard = when
            if bytes_of is not None and "x-when" in schema:
                guard = self.drawer.test(schema["x-when"], schema, "x-when", of)
            found.append(
                Response(
                    status,
                    guard,
                    tuple(headers),
                    media,
                    self.drawer.compile(schema, at_hand=of) if bytes_of is None else None,
                    encoder(media, self.style, schema, self.documents),
                    self.validators.broken(schema.here(), rule="answer-schema", root="/body"),
                    bytes_of,
                    response.pointer,
                )
            )
        return found

    # asyncapi.json

    def _channels(self) -> list[Channel]:
        file: Located | None = self.documents.get("asyncapi.json")
        if file is None:
            return []
        return [self._channel(name, channel, file) for name, channel in file.get("channels", {}).items()]

    def _channel(self, name: str, channel: Located, file: Located) -> Channel:
        verb = self._verb(channel)
        bindings = channel.get("bindings", {}).get("ws", {}).get("query")
        required = set(bindings.get("required", ())) if bindings else set()
        parameters = []
        for key, schema in (bindings or {}).get("properties", {}).items():
            parameter = Located({"name": key, "in": "query", "required": key in required, "schema": schema})
            parameter.file, parameter.pointer = bindings.file, bindings.at("properties", key)
            parameters.append(parameter)
        sent: list[Located] = []
        heard: list[Located] = []
        remember: Verb | None = None
        for operation in file.get("operations", {}).values():
            if self.documents.deref(operation["channel"]) is not channel:
                continue
            messages = [self.documents.deref(one) for one in operation.get("messages", ())]
            if operation["action"] == "send":
                sent.extend(messages)
            else:
                heard.extend(messages)
                remember = self._verb(operation) if "x-does" in operation else None
        compiled = [self._message(message) for message in sent]
        return Channel(
            name=name,
            path=channel["address"],
            verb=verb,
            read=request_reader(parameters, None, reader=self.reader, documents=self.documents),
            violations=_query_violations(sorted(required)),
            messages=tuple(compiled),
            security=self._security(channel) if "security" in channel else (),
            refusals=self._conditions("refusals", name),
            remember=remember,
            heard=tuple(self._hears(message) for message in heard),
            replies=tuple(message for message in compiled if "said" in message.on),
        )

    def _message(self, message: Located) -> Message:
        check_events(message, self.names)
        schema = self._payload(message)
        media = message.get("contentType", "application/json")
        return Message(
            name=message.pointer.rsplit("/", 1)[-1],
            on=frozenset(message.get("x-on", ())),
            when=self.drawer.test(message["x-when"], message, "x-when", "task") if "x-when" in message else None,
            draw=self.drawer.compile(schema),
            encode=encoder(media, self.style, schema, self.documents),
            broken=(
                self.validators.broken(schema.here(), rule="message-schema", root="/message")
                if media != "application/octet-stream"
                else lambda _: None
            ),
            binary=media == "application/octet-stream",
        )

    def _hears(self, message: Located) -> Callable[[Any], bool]:
        schema = self._payload(message)
        broken = self.validators.broken(schema.here(), rule="message-schema", root="/message")
        return lambda value: broken(value) is None

    def _payload(self, message: Located) -> Located:
        payload = message.get("payload")
        if not isinstance(payload, Located):
            raise message.error("has no payload")
        found: Located = self.documents.deref(payload) if set(payload) == {"$ref"} else payload
        return found


def _query_violations(names: list[str]) -> Callable[[Request], list[Violation]]:
    """Compile what the query of a handshake breaks: a required parameter that is missing or empty."""

    def violations(request: Request) -> list[Violation]:
        given = dict(request.query)
        return [missing(f"/query/{name}", name, names) for name in names if not given.get(name)]

    return violations
