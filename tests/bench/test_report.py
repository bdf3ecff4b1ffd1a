"""From samples to tables, with figures that can be worked out by hand."""

from bench.footprint import Footprint
from bench.measure import Sample, noted
from bench.processes import Memory
from bench.report import added, by_round, cpu, gateways, memory_table, ratios, throughput, ttft

MIB = 1 << 20


def sample(target: str, number: int, rps: float, ttft_ms: float = 100, **cpu_ms: float) -> Sample:
    load = {"rps": rps, "p50_ms": 1000 / rps, "p99_ms": 2000 / rps, "n_errors": number - 1}
    load |= {"ttft_p50_ms": ttft_ms, "ttft_p99_ms": ttft_ms + 5}
    load |= {"lag_p50_ms": 0.25, "lag_p99_ms": 0.5}
    return Sample("non-stream", target, number, load, {"client": 0.1, **cpu_ms}, 0.25)


SAMPLES = [
    sample("direct", 1, 1000, 100.0, provider=0.2),
    sample("Moonpool", 1, 100, 104.0, provider=0.2, web=0.5, worker_interactive=0.25),
    sample("LiteLLM", 1, 10, 150.0, provider=0.2, litellm=8.0),
    sample("direct", 2, 500, 101.0, provider=0.2),
    sample("Moonpool", 2, 100, 107.0, provider=0.2, web=0.7, worker_interactive=0.25),
    sample("LiteLLM", 2, 20, 160.0, provider=0.2, litellm=8.0),
]


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith(f"| {start} |")]


def test_throughput_compares_with_the_direct_call_of_the_same_round() -> None:
    [ours] = lines(throughput(SAMPLES), "non-stream | Moonpool")
    assert ours == "| non-stream | Moonpool | 100 | 10.0 | 20.0 | 15.0 % | 1 |".replace(
        "| 100 |", "| 100 (100–100) |"
    )
    [direct] = lines(throughput(SAMPLES), "non-stream | direct")
    assert "| 750 (500–1,000) |" in direct
    assert "| 100.0 % |" in direct


def test_cpu_is_told_by_role_and_a_role_that_is_not_there_by_a_dash() -> None:
    [ours] = lines(cpu(SAMPLES), "non-stream | Moonpool")
    assert ours == "| non-stream | Moonpool | 0.600 | 0.250 | 0.850 | – | – | – | 0.300 |"


def test_added_time_to_first_token_is_taken_round_by_round() -> None:
    assert added(SAMPLES, "Moonpool") == [4.0, 6.0]
    assert added(SAMPLES, "direct") == []
    [ours] = lines(ttft(SAMPLES), "Moonpool")
    assert ours.startswith("| Moonpool | 105.50 | 110.50 | 5.00 (4.00–6.00) |")


def test_gateways_are_compared_round_by_round() -> None:
    assert ratios(SAMPLES, "Moonpool", "LiteLLM", "non-stream") == [10.0, 5.0]
    table = by_round(SAMPLES)
    assert lines(table, "non-stream | 2") == ["| non-stream | 2 | 500 | 100 | 20 | 5.0× |"]
    [middle] = lines(table, "non-stream | **median**")
    assert middle == "| non-stream | **median** | 750 | 100 | 15 | **7.5×** |"


def test_a_gateway_answers_for_all_its_processes_but_not_for_the_provider() -> None:
    assert "| non-stream | Moonpool | 10.0 | 20.0 | 0.850 | 0.300 | 1 |" in gateways(SAMPLES)
    assert "| non-stream | direct | 1.5 | 3.0 | – | 0.300 | 1 |" in gateways(SAMPLES)


def test_memory_is_summed_and_says_which_kind_it_is() -> None:
    idle = {"web": Memory(10 * MIB, True), "redis": Memory(MIB, True)}
    busy = {"web": Memory(30 * MIB, True), "redis": Memory(3 * MIB, True)}
    load = {"conc": 1000, "n": 998, "total": 1000, "lag_p50_ms": 0.7, "lag_p99_ms": 9.1}
    text = memory_table(Footprint(idle, {"web": 0.004, "redis": 0.001}, busy, load))
    assert "| process | idle, PSS MiB | 1,000 streams, PSS MiB |" in text
    assert "| **all** | 11.0 | 33.0 | 22.0 | 0.5 |" in text
    assert "998 of 1,000 streams ended whole" in text
    whole = Footprint(idle, {"web": 0, "redis": 0}, busy | {"redis": Memory(MIB, False)}, load)
    assert "idle, RSS MiB" in memory_table(whole)


def test_the_line_below_says_how_often_and_what_disturbed() -> None:
    assert noted("then", SAMPLES, 4) == (
        "_then; 2 rounds of 4 s; everything else on the machine kept 0.25 (0.25–0.25) cores busy._"
    )
