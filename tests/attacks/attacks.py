"""The attacks: each is a request, or a module, that once ended, stopped or misled the kernel.

Each returns its outcome, or raises `Failed`. After each, `run` checks whether the kernel still answers.
"""

import threading
import time

import blobs
from blobs import blob
from wire import (
    ACTIVATE, CALL, CALLED, COMPARE, LIST, LOAD, LOADED, MEMORY, MODULES, REFUSED, SAVE, STATS, UNLOAD, UNLOADED, UPLOAD,
    HELLO, RECEIVED, WELCOME, call, frame, push, text, varint, wish,
)

SECOND_US = 1_000_000
MANY_CONDITIONS = 1_050_000
LONGEST = 1_040_000
LONG_NAME_BYTES = 100_000
NAMES = 1_100
DOMAINS = ("kernel", "user")


class Failed(Exception):
    """An unexpected reaction of the kernel."""


def expect(condition, found, expected):
    if not condition:
        raise Failed(f"{found}, expected {expected}")


def refused(answer, what, word=""):
    """Checks that an answer is a readable refusal with the given word in it."""
    expect(answer.kind == REFUSED, f"{what}: answer {answer.kind} {answer.error}", f"a refusal {word}".strip())
    readable(answer, what)
    expect(word in answer.error, f"{what}: refused: {answer.error[:200]}", f"it to say {word}")
    return answer.error


def readable(answer, what):
    """Checks that no text of an answer contains control characters for a terminal."""
    bad = [hex(byte) for byte in answer.error.encode() if byte < 0x20 and byte != 0x0A or byte == 0x7F]
    expect(not bad, f"{what}: a refusal with the bytes {bad[:4]}", "text that can be shown")


def loaded(client, image, **how):
    answer = client.push(image, **how)
    expect(answer.kind == LOADED, f"a module: answer {answer.kind} {answer.error}", "that it is loaded")


def many_conditions(connect, options):
    """A gate with as many conditions as fit into a frame: 16 bytes of memory for each byte sent."""
    client = connect()
    loaded(client, blob("gated", blobs.INNOCENT))
    client.upload(blob("gated", blobs.INNOCENT, minor=1))
    gate = varint(MANY_CONDITIONS) + b"\1" * MANY_CONDITIONS + varint(10) + b"\0"
    error = refused(client.ask(push(gate=gate)), "the push", "conditions")
    client.unload("gated")
    return error


def long_names(connect, options):
    """Names and selectors of up to a megabyte, while uploads that never finish hold the memory."""
    holders, held = [], 0
    for size in (8 << 20 >> shift for shift in range(10)):
        while len(holders) < 60:
            client = connect()
            if client.ask(varint(UPLOAD) + varint(size) + varint(0)).kind != RECEIVED:
                client.close()
                break
            holders.append(client)
            held += size
    long, client = text(b"\1" * LONG_NAME_BYTES), connect()
    requests = {
        "stats": varint(STATS) + b"\1" + text(b"\1" * LONGEST),
        "call": varint(CALL) + long + text(b"") + varint(1),
        "unload": varint(UNLOAD) + long,
        "activate": varint(ACTIVATE) + long,
        "save": varint(SAVE) + long,
        "load": varint(LOAD) + long + wish(),
        "compare": varint(COMPARE) + text(b"\1" * (LONG_NAME_BYTES // 2)) * 2 + text(b"") + varint(1),
        "label": push(label=b"\1" * LONG_NAME_BYTES),
        "domain": push(domain=b"\1" * LONG_NAME_BYTES),
    }
    for what, request in requests.items():
        error = refused(client.ask(request), what)
        expect(len(error) < 4096, f"{what}: a refusal of {len(error)} bytes", "one that is short")
    # An input of a megabyte is not an attack: whether refused or not, it must be answered.
    client.ask(call("sum", b"x" * 1_000_000))
    for holder in holders:
        holder.close()
    return f"all {len(requests)} refused, with {held} bytes held by {len(holders)} uploads"


def huge_state(connect, options):
    """A state as large as memory, whose `save` loops while another client's call needs memory."""

    def image(size, minor):
        return blob("state", blobs.LOOP_IN_SAVE, blobs.FLAG_STATE, minor, size, time_us=5 * SECOND_US, records=blobs.schema(size))

    client, size = connect(), 31 << 20
    while size > 8 << 20:
        client.unload("state")
        answer = client.push(image(size, 1))
        if answer.kind == REFUSED:
            return refused(answer, "the first push")
        client.upload(image(size, 2))
        client.send(push())
        client.socket.settimeout(1.5)
        try:
            refused(client.answer(), "the second push")
            size -= 128 << 10
        except TimeoutError:
            break
        finally:
            client.socket.settimeout(options.timeout)
    other = connect()
    expect(other.ask(varint(HELLO)).kind == WELCOME, "no welcome during a save", "one")
    other.ask(call("sum", b"x" * 1_000_000))
    if size > 8 << 20:
        refused(client.answer(), "the push whose save loops", "time_budget")
    client.unload("state")
    return f"a state of {size} bytes was saved meanwhile"


def lifted_budget(connect, options):
    """A push with a budget of 71 minutes, which is more than the kernel's limit."""
    client, most = connect(), 2**32 - 1
    image = blob("lifted", blobs.INNOCENT, time_us=most)
    answer = client.push(image, budget=(most, 64 << 10, 0, 1 << 20, 0))
    expect(answer.kind != REFUSED, "refused: " + answer.error, "loaded within the limit")
    stats = client.ask(varint(STATS) + b"\1" + text("lifted"))
    expect(varint(most) not in stats.raw, "the module has the time it asked for", "the kernel's limit")
    client.unload("lifted")
    return "loaded, with the kernel's limit"


def greedy_bss(connect, options):
    """Modules with so much zeroed data that nothing is left for calls of an earlier one."""
    client, names = connect(), []
    loaded(client, blob("before", blobs.INNOCENT), domain="user")
    for pages in (60_000 >> shift for shift in range(16)):
        for number in range(4):
            name = f"bss{pages}-{number}"
            answer = client.push(blob(name, blobs.INNOCENT, bss=pages << 12), domain="user")
            if answer.kind == REFUSED:
                refused(answer, name)
                break
            names.append(name)
    answer = client.call("before", b"x" * 1000)
    for name in names + ["before"]:
        client.unload(name)
    expect(answer.result == 42, f"the module that was there before: {answer.error}", "42")
    return f"42, beside {len(names)} greedy modules"


def deaf_flood(connect, options):
    """Thousands of requests of a client that reads no answers, while another client waits for its own."""
    flooder = connect()

    def flood():
        try:
            for _ in range(3000):
                flooder.send(varint(LIST))
        except OSError:
            pass  # It was dropped, as it should be.

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    time.sleep(0.2)
    start = time.monotonic()
    answer = connect().ask(varint(HELLO))
    waited = time.monotonic() - start
    flooder.close()
    expect(answer.kind == WELCOME, f"answer {answer.kind}", "a welcome")
    expect(waited < options.patience, f"a welcome after {waited:.1f} s", f"one within {options.patience} s")
    return f"another client was welcome after {waited:.1f} s"


def large_flood(connect, options):
    """Requests of a megabyte each, of a client that reads no answers, while another client requests lists."""
    flooder, other = connect(), connect()
    loaded(other, blob("large", blobs.INNOCENT))
    large = frame(varint(1) + call("large", b"a" * LONGEST))

    def flood():
        try:
            while True:
                flooder.socket.sendall(large)
        except OSError:
            pass  # The flood is over.

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    time.sleep(0.2)
    waits = []
    for _ in range(20):
        start = time.monotonic()
        answer = other.ask(varint(LIST))
        waits.append(time.monotonic() - start)
        expect(answer.kind == MODULES, f"answer {answer.kind}", "a list")
    flooder.close()
    other.unload("large")
    expect(max(waits) < options.patience, f"a list after {max(waits):.1f} s", f"one within {options.patience} s")
    return f"another client's lists came after {sorted(waits)[len(waits) // 2]:.3f} s, the last after {max(waits):.3f} s"


def looping_init(connect, options):
    """A module whose `init` loops, pushed while a call of another one loops: is a third client still served?"""
    caller, pusher = connect(), connect()
    loaded(caller, blob("looper", blobs.LOOP, time_us=10 * SECOND_US))
    caller.send(call("looper"))
    time.sleep(1)
    pusher.upload(blob("init", blobs.LOOP_IN_INIT, blobs.FLAG_INIT, time_us=10 * SECOND_US))
    pusher.send(push())
    time.sleep(0.3)
    start = time.monotonic()
    connect().ask(varint(HELLO))
    waited = time.monotonic() - start
    refused(pusher.answer(), "the push", "time_budget")
    refused(caller.answer(), "the call", "time_budget")
    caller.unload("looper")
    expect(waited < options.patience, f"a welcome after {waited:.1f} s", f"one within {options.patience} s")
    return f"a third client was welcome after {waited:.1f} s"


def tick_behind_int(connect, options):
    """Honest code whose bytes look like `int N` right before the interruption."""
    client = connect()
    for domain in DOMAINS:
        loaded(client, blob("tick", blobs.TICK_BEHIND_INT, time_us=10 * SECOND_US), domain=domain)
        for _ in range(3):
            answer = client.call("tick")
            expect(answer.result == 7, f"{domain}: {answer.error or answer.result}", "7")
        client.unload("tick")
        for kind, code in blobs.FAULTS_BEHIND_INT.items():
            loaded(client, blob("fault", code), domain=domain)
            refused(client.call("fault"), f"{domain}, {kind}", kind)
            client.unload("fault")
    return "7 from each call, and each fault by its own name, in both domains"


def raised_priority(connect, options):
    """A return with all interrupts of lower priority blocked, after which no tick would arrive."""
    client = connect()
    loaded(client, blob("raised", blobs.RAISE_PRIORITY), domain="kernel")
    answer = client.call("raised")
    expect(answer.kind in (CALLED, REFUSED), f"answer {answer.kind}", "a result or a fault")
    client.unload("raised")
    return answer.error or f"returned {answer.result}"


def armed_breakpoint(connect, options):
    """A breakpoint that a module leaves armed, at the address where the next module will lie."""
    client = connect()
    loaded(client, blob("armed", blobs.ARM_BREAKPOINT), domain="kernel")
    client.call("armed")
    client.unload("armed")
    loaded(client, blob("next", blobs.INNOCENT), domain="kernel")
    answer = client.call("next")
    client.unload("next")
    expect(answer.result == 42, f"the next module: {answer.error}", "42")
    return "the next module returned 42"


def stale_output(connect, options):
    """A module that claims to have written output, and would so reveal that of another one."""
    client = connect()
    for domain in DOMAINS:
        loaded(client, blob("filler", blobs.FILL_OUTPUT), domain=domain)
        loaded(client, blob("claimer", blobs.CLAIM_OUTPUT), domain=domain)
        written = client.call("filler").output
        expect(written.count(b"S") == len(written) > 0, f"{domain}: the filler wrote {len(written)} bytes", "some, all S")
        # The output of another client, for whom it is a secret.
        output = connect().call("claimer").output
        client.unload("filler")
        client.unload("claimer")
        expect(b"S" not in output, f"{domain}: {output.count(b'S')} bytes of another module", "none")
    return "nothing of another module, in both domains"


def escapes_in_fields(connect, options):
    """A state with a field whose name is a terminal's escape sequence, which a refusal would show."""
    client, answers = connect(), []
    for minor, field in enumerate(("\x1b[2J\x1b]0;owned", "\x1b[31mRED")):
        records = blobs.schema(1, field, fingerprint=minor + 1)
        answer = client.push(blob("fields", blobs.LOOP_IN_SAVE, blobs.FLAG_STATE, minor, 64, records=records))
        readable(answer, "the push")
        answers.append(answer.error.split("\n")[0] or "loaded")
    client.unload("fields")
    return "; ".join(answers)


def evaded_budget(connect, options):
    """A module that makes ticks fall into a callee, so that none would count for itself."""
    client = connect()
    loaded(client, blob("catcher", blobs.CATCH_TICK))
    records = blobs.depends("catcher")
    for domain in DOMAINS:
        image = blob("evader", blobs.EVADE, services=blobs.SERVICE_CALL, time_us=SECOND_US // 5, records=records)
        loaded(client, image, domain=domain)
        refused(client.call("evader"), domain, "time_budget")
        client.unload("evader")
    client.unload("catcher")
    return "time_budget, in both domains"


def forgotten_names(connect, options):
    """Thousands of names that are loaded once: does each keep memory forever?"""
    client, in_use = connect(), []
    for turn in range(2):
        for number in range(NAMES):
            name = f"name{turn}-{number}"
            loaded(client, blob(name, blobs.INNOCENT))
            answer = client.unload(name)
            expect(answer.kind == UNLOADED, f"{name}: {answer.error}", "that it is unloaded")
        in_use.append(client.ask(varint(MEMORY)).table_bytes)
    grown = in_use[1] - in_use[0]
    expect(grown < 4 * NAMES, f"{NAMES} names more took {grown} bytes", "none that stay")
    return f"{NAMES} names more took {grown} bytes"


def many_modules(connect, options):
    """As many modules as the kernel takes, then a list of all of them."""
    client, count, error = connect(), 0, ""
    before = client.ask(varint(LIST)).count
    while count < options.modules:
        answer = client.push(blob(f"many{count}", blobs.INNOCENT))
        if answer.kind == REFUSED:
            error = refused(answer, "one more module")
            break
        count += 1
    for what, request in (("list", varint(LIST)), ("stats", varint(STATS) + b"\0")):
        answer = client.ask(request)
        if answer.kind == REFUSED:
            refused(answer, what)
        else:
            expect(answer.kind == MODULES and answer.count == before + count, f"{what}: answer {answer.kind}", "all of them")
    return f"{count} modules are listed" + (f"; one more: {error}" if error else "")


# The last attack leaves its modules loaded.
ALL = (
    many_conditions, long_names, huge_state, lifted_budget, greedy_bss, deaf_flood, large_flood, looping_init, tick_behind_int,
    raised_priority, armed_breakpoint, stale_output, escapes_in_fields, evaded_budget, forgotten_names, many_modules,
)

# The attacks that send much, or wait for long.
LONG = [many_conditions, long_names, looping_init, forgotten_names, many_modules]
