"""The story of one attempt of one job, from its claim to its terminal event."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent
import orjson

from app.catalogue.model import Catalogue, Model
from app.db.reads import Reads
from app.errors import MoonpoolError
from app.events.publish import Publisher
from app.jobs.model import MAX_STRIKES, Claimed, EndState, Outcome
from app.jobs.service import release
from app.money import MILLION, usd
from app.settings import Settings
from app.telemetry import log
from app.uniroute.model import AUTO
from workers.inference.account import NO_TOKENS, bill, call_costs, is_told, told_or_estimated
from workers.inference.cached import AnswerCache, Place, as_chunk, place_of, told_again
from workers.inference.calls import AllFailed, Calls, Interrupted, Way, ways_of
from workers.inference.choice import Choice, Choices
from workers.inference.context import Context, Contexts, last_said
from workers.inference.heard import Heard
from workers.inference.own_keys import NONE, OwnKeys
from workers.inference.pictured import Pictured
from workers.inference.relay import Relay
from workers.inference.request import provider_request
from workers.inference.routing import Routing
from workers.inference.several import PROMPTS, Several
from workers.inference.shadow import Shadow
from workers.inference.verdicts import all_failed, deadline, interrupted, no_model
from workers.providers.base import Chunk, Completion, ProviderError
from workers.providers.registry import Providers


class Cancelled(BaseException):
    """Thrown into a job whose client wants it to end."""


class Released(BaseException):
    """Thrown into a job that a stopping worker hands back."""


class Lost(BaseException):
    """Thrown into a job that belongs to another worker by now."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every job of a worker process works with."""

    settings: Settings
    catalogue: Catalogue
    providers: Providers
    publisher: Publisher
    own_keys: OwnKeys | None = None
    cache: AnswerCache | None = None
    routing: Routing = field(default_factory=Routing)
    reads: Reads | None = None
    contexts: Contexts | None = None
    choices: Choices | None = None
    shadow: Shadow | None = None


@dataclass(slots=True)
class Ended:
    """How an attempt ended: an outcome to settle, or one of 'interrupted', 'released', 'lost'. With
    `later_s` it had not begun, and is to be claimed again after so many seconds."""

    outcome: Outcome | None
    handed_back: str = ""
    calls: str = "[]"
    owed: dict[str, int] = field(default_factory=dict)
    later_s: float | None = None


class Attempt:
    """One attempt. `run` makes the provider calls and says how it ended; `tell` writes the
    terminal event once that is committed."""

    def __init__(self, parts: Parts, job: Claimed) -> None:
        self.job, self.relay = job, Relay(parts.publisher, job)
        self._parts, self._catalogue = parts, parts.catalogue
        if job.batch_id is not None:
            # Its deadline is the batch's; once it runs it has no more time than any other job.
            job.left_s = min(job.left_s, parts.settings.total_timeout)
            self._catalogue = parts.catalogue.in_batches
        self._began = time.monotonic()
        # A recording is paid by its length: its bytes are no tokens.
        self._prompt = "" if job.kind == "transcription" else job.request
        self._calls: Calls | None = None
        self._own: Mapping[str, str] = NONE
        self._place: Place | None = None
        self._keeps = True
        self._added = 0
        self._hit: tuple[Way, dict[str, Any]] | None = None
        self._choice: Choice | None = None
        self._model, self._prefix = "", "chatcmpl-"
        self._usage = self._error = b"null"
        self._body: bytes | None = None

    def run(self) -> Ended:
        """Runs the job to its end. Raises nothing."""
        job = self.job
        self.relay.started()
        try:
            with gevent.Timeout(max(job.left_s, 0.001)):
                return self._answer()
        except gevent.Timeout:
            return self._end("failed", deadline(self._parts.settings.total_timeout))
        except Cancelled:
            return self._end("cancelled", None)
        except Released:
            return self._hand_back("released")
        except Lost:
            return self._hand_back("lost")
        except AllFailed as failed:
            return self._end("failed", all_failed(job.model, failed.failures, self._added))
        except Interrupted as cut:
            if job.door == "stream" or job.strikes + 1 >= MAX_STRIKES:
                return self._end("failed", interrupted(cut))
            return self._hand_back("interrupted")
        except Exception as error:
            # A job that breaks us may break the next worker too: it costs a strike.
            log("worker").error("attempt broke", job_id=job.id, error=repr(error), exc_info=True)
            if job.strikes + 1 >= MAX_STRIKES:
                return self._end("failed", MoonpoolError("The job failed unexpectedly.").body())
            return self._hand_back("interrupted")

    def tell(self, outcome: Outcome) -> None:
        """Writes the terminal event of an attempt that stands."""
        used = outcome.prompt_tokens + outcome.completion_tokens
        self.relay.ended(
            outcome.state, self._usage, self._error, self._body,
            release(self.job.reservation, used),
        )  # fmt: skip
        if self._place is not None and self._hit is None and outcome.state == "completed":
            cache = self._parts.cache
            if cache is not None and self._keeps:
                gevent.spawn(cache.keep, self._place, self.job.id)
        if self._parts.shadow is not None and outcome.state == "completed":
            self._parts.shadow.consider(self.job)

    def without_answer(self, outcome: Outcome) -> None:
        """Makes `outcome` a failure that costs nothing and holds nothing of what was said."""
        error = MoonpoolError("The answer could not be stored.").body()
        usage = bill(NO_TOKENS, None, 0, 0.0, None).usage
        self._error, self._usage, self._body = orjson.dumps(error), orjson.dumps(usage), None
        outcome.state, outcome.cost, outcome.body, outcome.calls = "failed", 0, None, "[]"
        outcome.error, outcome.usage = self._error.decode(), self._usage.decode()
        outcome.prompt_tokens = outcome.cached_tokens = outcome.completion_tokens = 0
        outcome.price = outcome.billed = None

    def _answer(self) -> Ended:
        parts, job = self._parts, self.job
        asked: dict[str, Any] = orjson.loads(job.request)
        options = {**(asked.get("extra_body") or {}), **asked}
        model = self._catalogue.find(asked.get("model") or job.model, options.get("provider"))
        fallbacks = options.get("fallbacks") or []
        if model is None and asked.get("model") == AUTO:
            model, fallbacks = self._chosen(options)
        if model is None:
            return self._end("failed", no_model(job.model))
        ways = ways_of(self._catalogue, model, fallbacks, options)
        request = provider_request(asked, model)
        context = self._context(options)
        if context is not None:
            context.put_before(request, bool(model.spec.persona))
            if self._choice is None:
                self.relay.context(context.told)
            self.relay.references = context.references
        self._added = len(request.get("messages", ())) - len(asked.get("messages", ()))
        ttl_s = options.get("cache_ttl")
        if ttl_s and parts.cache is not None:
            self._keeps = options.get("store") is not False
            self._place = place_of(job.tenant_id, model, options.get("provider"), request, ttl_s)
            if self._told_again(parts.cache, self._place, ways, context):
                return self._end("completed", None)
        if parts.own_keys is not None:
            self._own = parts.own_keys.of(job.tenant_id)
        providers = parts.providers.with_keys(self._own)
        if PROMPTS in request:
            providers = Several(providers)
        if job.kind == "transcription":
            providers = Heard(providers, asked["asked"]["seconds"])
        if job.kind == "image" and asked.get("asked", {}).get("response_format") == "b64_json":
            providers = Pictured(providers)
        calls = self._calls = Calls(
            parts.settings, providers, ways, request, job.attempt, parts.routing,
            self._began + job.left_s, self._own,
        )  # fmt: skip
        self._speak(calls, model, context)
        if context is not None:
            context.keep(self.relay.text())
        return self._end("completed", None)

    def _context(self, options: dict[str, Any]) -> Context | None:
        contexts = self._parts.contexts
        if contexts is None or self.job.kind != "chat.completion":
            return None
        return contexts.of(self.job, options)

    def _speak(self, calls: Calls, model: Model, context: Context | None) -> None:
        """Gives the answer to those who listen."""
        if model.spec.does != "chat":
            self.relay.whole(calls.operate(model.spec.does))
        elif self.job.door == "sync" or self.job.batch_id is not None:
            self.relay.whole(calls.complete())
            self._tell_choice(calls.answered, context)
        else:
            for chunk in calls.stream() if self._choice is None else self._routed(calls, context):
                try:
                    self.relay.chunk(chunk)
                except ProviderError as error:
                    assert calls.answered is not None
                    raise Interrupted(calls.answered.route.provider, error) from error

    def _chosen(self, options: dict[str, Any]) -> tuple[Model | None, list[str]]:
        """The router's choice among the candidates that the door found, and its fallbacks."""
        choices, told = self._parts.choices, options["asked"]["router"]
        self._prefix = told["prefix"] or self._prefix
        if choices is not None:
            text = last_said(options.get("messages") or ())
            weight = options.get("cost_weight") or 0.0
            self._choice = choices.of(told, text, weight, self._catalogue)
        if self._choice is None:
            return None, []
        return self._choice.model, self._choice.fallbacks

    def _routed(self, calls: Calls, context: Context | None) -> Iterator[Chunk]:
        """The chunks of an answer; who answers is told before the first."""
        for chunk in calls.stream():
            if not self._model:
                self._tell_choice(calls.answered, context)
            yield chunk

    def _tell_choice(self, way: Way | None, context: Context | None) -> None:
        """Tells what was chosen, and that it was `way` that answered."""
        if self._choice is not None and way is not None:
            self._model = way.model.id
            told = context.told if context is not None else {}
            # What a whole answer cites is told already.
            self.relay.context({"routing": self._choice.told(way), **told, **self.relay.told})

    def _told_again(
        self, cache: AnswerCache, place: Place, ways: list[Way], context: Context | None
    ) -> bool:
        """Answers from the cache if it can."""
        cached = cache.find(place)
        if cached is None:
            return False
        way = next((way for way in ways if way.route.provider == cached.provider), ways[0])
        self._tell_choice(way, context)
        answer, usage = told_again(cached)
        if isinstance(answer, Completion) and self.job.door != "sync" and not self.job.batch_id:
            self.relay.chunk(as_chunk(answer))
        else:
            self.relay.whole(answer)
        self._hit = way, usage
        return True

    def _end(self, state: EndState, error: dict[str, Any] | None) -> Ended:
        job, calls = self.job, self._calls
        answered = calls.answered if calls is not None else None
        owes = answered if state in ("completed", "cancelled") else None
        usage = NO_TOKENS
        if calls is not None and answered is not None:
            # The text is put together of all its chunks, and mostly not needed.
            text = "" if is_told(calls.usage) else self.relay.text()
            usage = told_or_estimated(calls.usage, self._prompt, text)
        elif state == "cancelled" and calls is not None and calls.tried:
            # Its call was under way, so the prompt has been read.
            owes = calls.tried[-1]
            usage = told_or_estimated(None, self._prompt, "")
        share = MILLION
        if self._hit is not None:
            way, usage = self._hit
            owes, share = way, round(self._parts.settings.cache_hit_share * MILLION)
        elif owes is not None and owes.route.provider in self._own:
            share = round(self._parts.settings.own_key_share * MILLION)
        now = time.monotonic()
        first = calls.first_token_s if calls is not None else None
        ttft_ms = None if first is None else job.age_ms + (first - self._began) * 1000
        billed = bill(
            usage, owes.model if owes else None, job.hold,
            job.age_ms + (now - self._began) * 1000, ttft_ms, owes.route if owes else None, share,
        )  # fmt: skip
        if job.batch_id is not None and owes is not None:
            billed.usage["batch_factor"] = float(owes.model.spec.batch_factor)
        self._usage = orjson.dumps(billed.usage)
        self._error = orjson.dumps(error)
        choices, answer = self.relay.choices(), self.relay.answer
        if choices:
            self._body = orjson.dumps(self._completion(choices, billed.usage))
        elif answer is not None:
            told = {"model": job.model, **answer.body, "usage": billed.usage}
            self._body = orjson.dumps(told)
        return Ended(
            Outcome(
                id=job.id,
                attempt=job.attempt,
                state=state,
                last_seq=self.relay.last_seq(),
                body=self._body.decode() if self._body else None,
                error=self._error.decode() if error else None,
                usage=self._usage.decode(),
                cost=billed.cost,
                owed=self._owed(),
                calls=self._made(),
                prompt_tokens=billed.prompt_tokens,
                cached_tokens=billed.cached_tokens,
                completion_tokens=billed.completion_tokens,
                provider=answered.route.provider if answered else None,
                price=billed.price_version,
                billed=billed.billed,
            )
        )

    def _completion(self, choices: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self._prefix + self.job.id.removeprefix("job_"),
            "object": "chat.completion",
            "created": int(self.job.created_s),
            "model": self._model or self.job.model,
            "system_fingerprint": None,
            "choices": choices,
            "usage": usage,
            **self.relay.told,
        }

    def _hand_back(self, how: str) -> Ended:
        self.relay.flush()
        owed = self._owed()
        return Ended(None, how, self._made(), owed)

    def _owed(self) -> dict[str, int]:
        """What the calls made so far owe each provider; notes it in them too."""
        owed: dict[str, int] = {}
        if self._calls is not None:
            told = all(is_told(call.get("usage")) for call in self._calls.made)
            text = "" if told else self.relay.text()
            for call, way in zip(self._calls.made, self._calls.tried, strict=True):
                own = way.route.provider in self._own
                nanos = 0 if own else call_costs(call, way.model, way.route, self._prompt, text)
                if own:
                    call["own_key"] = True
                call["platform_cost_usd"] = usd(nanos)
                owed[way.route.provider] = owed.get(way.route.provider, 0) + nanos
        return owed

    def _made(self) -> str:
        if self._hit is not None:
            kept = self._hit[1]["cached_answer"]
            return orjson.dumps([{"provider": "cache", "outcome": "hit", **kept}]).decode()
        return orjson.dumps(self._calls.made if self._calls else []).decode()
