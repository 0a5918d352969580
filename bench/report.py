"""What a run found, as tables, with the targets beside it."""

from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench import growth, memory, replicas
from bench.latency import TARGET_P99

TARGETS: Final = {"workflow": (0.15, 0.25), "with_mail": (0.05, 0.10), "access": (0.04, 0.08)}
"""By kind of request the fraction of the bare pipe that must be reached, and the one to aim for."""

_ELSEWHERE: Final = (
    "For scale, measured elsewhere on a machine of this kind (2 cores): a Celery chord of four tasks that do nothing "
    "and a callback, on Redis, not durable: 114 requests/s. The privacy engine Fides 2.86: 1.9 access requests/s at "
    "0.85 s of CPU each, in 1.24 GiB."
)


def show(found: Mapping[str, Any]) -> int:
    """Print it. Returns the exit code: 1 where a target is missed."""
    console = Console()
    missed = [*_show_ratio(console, found["ratio"])] if "ratio" in found else []
    if "latency" in found:
        missed += _show_latency(console, found["latency"])
    if "growth" in found:
        missed += _show_growth(console, found["growth"])
    if "replicas" in found:
        missed += _show_replicas(console, found["replicas"])
    if "memory" in found:
        missed += _show_memory(console, found["memory"])
    if missed:
        console.print(f"Missed: {', '.join(missed)}", style="red")
    if "ratio" in found:
        ratio = found["ratio"]["ratio"]
        print("RATIO", *(f"{kind}={ratio[kind]:.3f}" for kind in TARGETS if kind in ratio))
    return 1 if missed else 0


def _show_ratio(console: Console, found: Mapping[str, Any]) -> list[str]:
    pipe = median(found["pipe_requests_per_second"])
    table = Table(title=f"Throughput beside a bare pipe of {pipe:,.0f} requests/s")
    for column in ("", "requests/s", "ratio", "target", "goal"):
        table.add_column(column, justify="left" if not column else "right")
    for kind, ratio in found["ratio"].items():
        target, goal = TARGETS[kind]
        rate = median(run["rate"] for run in found["workflow"][kind])
        table.add_row(kind, f"{rate:,.0f}", f"{ratio:.3f}", f"{target:.2f}", f"{goal:.2f}")
    console.print(table)

    costs = Table(title="What a request costs: microseconds of CPU by process, what is written, memory at the end")
    kinds = list(found["workflow"])
    for column in ("", *kinds):
        costs.add_column(column, justify="right" if column else "left")
    names = list(found["workflow"][kinds[0]][0]["cpu_us"])
    for name in names:
        costs.add_row(name, *(f"{_median(found, kind, name):,.0f}" for kind in kinds))
    costs.add_row("in all", *(f"{sum(_median(found, kind, name) for name in names):,.0f}" for kind in kinds))
    costs.add_section()
    for name, unit in (("rows", "rows"), ("wal_bytes", "bytes of WAL"), ("kafka_bytes", "bytes in Kafka")):
        costs.add_row(unit, *(f"{_written(found, kind, name):,.0f}" for kind in kinds))
    costs.add_section()
    for name in found["workflow"][kinds[0]][0]["memory_mb"]:
        costs.add_row(f"MB of {name}", *(f"{_memory(found, kind, name):,.0f}" for kind in kinds))
    console.print(costs)
    console.print(_ELSEWHERE)
    return [kind for kind, ratio in found["ratio"].items() if ratio < TARGETS[kind][0]]


def _median(found: Mapping[str, Any], kind: str, name: str) -> float:
    return float(median(run["cpu_us"][name] for run in found["workflow"][kind]))


def _written(found: Mapping[str, Any], kind: str, name: str) -> float:
    return float(median(run["written"][name] for run in found["workflow"][kind]))


def _memory(found: Mapping[str, Any], kind: str, name: str) -> float:
    return float(max(run["memory_mb"][name] for run in found["workflow"][kind]))


def _show_latency(console: Console, found: Mapping[str, Any]) -> list[str]:
    table = Table(title=f"Milliseconds from the submission, at {found['rate']:,.0f} requests/s")
    for column in ("", "p50", "p99", "longest"):
        table.add_column(column, justify="right" if column else "left")
    for point in ("accepted", "assigned", "completed"):
        table.add_row(point, *(f"{found[point][name] * 1000:,.0f}" for name in ("p50", "p99", "longest")))
    console.print(table)
    return ["latency"] if found["completed"]["p99"] > TARGET_P99 else []


def _show_growth(console: Console, found: Mapping[str, Any]) -> list[str]:
    sizes = list(found["runs"])
    rates = {size: median(run["rate"] for run in runs) for size, runs in found["runs"].items()}
    table = Table(title="Open requests in the tables")
    for column in ("", *(f"{int(size):,}" for size in sizes)):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("requests/s", *(f"{rates[size]:,.0f}" for size in sizes))
    table.add_row("as a fraction of the first", *(f"{rates[size] / rates[sizes[0]]:.2f}" for size in sizes))
    table.add_row("us of CPU a request", *(f"{_cpu(found['runs'][size]):,.0f}" for size in sizes))
    table.add_row("rows a request", *(f"{_each(found['runs'][size], 'rows'):,.0f}" for size in sizes))
    table.add_row("bytes of WAL a request", *(f"{_each(found['runs'][size], 'wal_bytes'):,.0f}" for size in sizes))
    table.add_row("MB of database", *(f"{found['database_megabytes'][size]:,.0f}" for size in sizes))
    console.print(table)
    console.print(f"Target: {growth.TARGET:.2f} of the first.")
    timers = Table(title="One turn of each timer with them: milliseconds from end to end (median)/of CPU (mean)")
    for column in ("", *(f"{int(size):,}" for size in sizes)):
        timers.add_column(column, justify="right" if column else "left")
    for turns in zip(*(found["timers"][size] for size in sizes), strict=True):
        figures = (f"{turn['milliseconds']:.2f}/{turn['cpu_us'] / 1000:.2f}" for turn in turns)
        timers.add_row(turns[0]["name"], *figures)
    console.print(timers)
    return ["growth"] if found["ratio"] < growth.TARGET else []


def _cpu(runs: list[dict[str, Any]]) -> float:
    return float(median(sum(run["cpu_us"].values()) for run in runs))


def _each(runs: list[dict[str, Any]], name: str) -> float:
    return float(median(run["written"][name] for run in runs))


def _show_replicas(console: Console, found: Mapping[str, Any]) -> list[str]:
    service = found["service"]
    table = Table(title=f"Two replicas of {service} on {found['cores']} cores, which the whole machine shares")
    for column in ("", "requests/s", "us of CPU a request", "partitions", "records"):
        table.add_column(column, justify="right" if column else "left")
    rates = {name: median(run["rate"] for run in found[name]) for name in ("one", "two")}

    def cpu(name: str, process: str) -> str:
        return f"{median(run['cpu_us'][process] for run in found[name]):,.0f}"

    table.add_row("one", f"{rates['one']:,.0f}", cpu("one", service), "all", "")
    table.add_row("two", f"{rates['two']:,.0f}", "", "", "")
    for number, process in enumerate((service, f"{service}-2")):
        records = found["records"][number]
        table.add_row(f"  {process}", "", cpu("two", process), str(found["partitions"][number]), f"{records:,}")
    console.print(table)
    console.print(
        f"Two do {found['ratio']:.2f} of what one does. {found['changes']} replicas came and went under load: "
        f"{found['requests']:,} requests, none lost, none closed twice, one answer of each system in each "
        f"({found['said_again']:,} statuses said again)."
    )
    return ["replicas"] if found["least_share"] < replicas.LEAST_SHARE else []


def _show_memory(console: Console, found: Mapping[str, Any]) -> list[str]:
    table = Table(
        title=f"Resident megabytes while {found['requests']:,} requests pass, then {found['burst']:,} at once"
    )
    for column in ("", "second quarter", "last quarter", "largest", "largest in the burst"):
        table.add_column(column, justify="right" if column else "left")
    columns = ("second_quarter", "last_quarter", "largest", "largest_in_burst")
    missed = []
    for name in found["largest"]:
        second, last, largest, burst = (found[column][name] for column in columns)
        table.add_row(name, *(f"{found[column][name]:,.1f}" for column in columns))
        if max(largest, burst) >= memory.LIMIT or last > second * memory.FLAT or burst > largest * memory.BURST:
            missed.append(f"memory of {name}")
    console.print(table)
    console.print(
        f"Targets: under {memory.LIMIT:.0f} MB; the last quarter within {memory.FLAT - 1:.0%} of the second; the burst "
        f"within {memory.BURST - 1:.0%} of the largest before. The burst was accepted after "
        f"{found['accepted_after']:,.0f} s."
    )
    return missed
