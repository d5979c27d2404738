"""Modules that attack, each a few bytes of machine code: no compiler would make them.

The header is that of docs/format.md. The ABI's version and fingerprint are read from a released blob of tests/golden.
"""

import pathlib
import struct

from wire import crc32c

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/abi-1.2/empty.mod"

FLAG_INIT = 1
FLAG_STATE = 16
SERVICE_CALL = 4
DEPENDS = 1
STATE_SCHEMA = 0x80000002

# mov eax, 42; ret
INNOCENT = bytes.fromhex("b82a000000 c3")

# jmp to itself
LOOP = bytes.fromhex("ebfe")

# Loops when it is called for `Init` (1): cmp esi, 1; je to itself; mov eax, 42; ret
LOOP_IN_INIT = bytes.fromhex("83fe01 74fe b82a000000 c3")

# Loops when it is called for `Save` (4): cmp esi, 4; je to itself; xor eax, eax; ret
LOOP_IN_SAVE = bytes.fromhex("83fe04 74fe 31c0 c3")

# A loop after an instruction that ends in the bytes of `int 0x20`, which is the tick's vector:
# mov ecx, 20000000; mov eax, 0x20cd0000; 2: dec rcx; jnz 2b; mov eax, 7; ret
TICK_BEHIND_INT = bytes.fromhex("b9002d3101 b80000cd20 48ffc9 75fb b807000000 c3")

# Faults after instructions that end in the bytes of an `int` of the fault's own number: the kind, and the code.
FAULTS_BEHIND_INT = {
    # xor ecx, ecx; xor edx, edx; mov eax, 0x00cd1234; div ecx
    "divide": bytes.fromhex("31c9 31d2 b83412cd00 f7f1 c3"),
    # mov eax, 0x06cd1234; ud2
    "invalid_opcode": bytes.fromhex("b83412cd06 0f0b"),
    # mov rdx, 8; mov eax, 0x0ecd1234; mov rax, [rdx]; ret
    "page_read": bytes.fromhex("48c7c208000000 b83412cd0e 488b02 c3"),
}

# Returns with interrupts blocked: mov eax, 15; mov cr8, rax; mov eax, 1; ret
RAISE_PRIORITY = bytes.fromhex("b80f000000 440f22c0 b801000000 c3")

# Makes the processor trap at the module's first instruction from now on:
# lea rax, [its start]; mov dr0, rax; mov eax, 0x401; mov dr7, rax; mov eax, 1; ret
ARM_BREAKPOINT = bytes.fromhex("488d05f9ffffff 0f23c0 b801040000 0f23f8 b801000000 c3")

# Fills all of its output with "S": mov r8, rdi; mov rdi, [r8+40]; mov rcx, [r8+48]; mov [r8+56], rcx; mov al, "S";
# rep stosb; xor eax, eax; ret
FILL_OUTPUT = bytes.fromhex("4989f8 498b7828 498b4830 49894838 b053 f3aa 31c0 c3")

# Claims to have written 64 bytes, and writes none: mov qword [rdi+56], 64; xor eax, eax; ret
CLAIM_OUTPUT = bytes.fromhex("48c7473840000000 31c0 c3")

# Calls the module "catcher" endlessly, with some work of its own in between, so that ticks may fall into the callee.
EVADE = bytes.fromhex(
    # push rbx; sub rsp, 64; mov rbx, rdi
    "53 4883ec40 4889fb"
    # 5: the name's address and length to `CallArguments`, and zeros after them
    "488d0545000000 48890424 48c744240807000000 31c0"
    "4889442410 4889442418 4889442420 4889442428 4889442430 4889442438"
    # mov rdi, rbx; mov rsi, rsp; the third function of the table of services
    "4889df 4889e6 488b4308 ff5018"
    # mov ecx, 500000; 6: dec ecx; jnz 6b; jmp 5b
    "b920a10700 ffc9 75fc ebb4"
) + b"catcher"

# Returns as soon as the clock jumps, which is after a tick, or when 6,000,000 cycles are over:
# r8: the last reading of the clock, r9: the first one; 7: rdtsc; rcx: the jump; ja 8f; jb 7b; 8: xor eax, eax; ret
CATCH_TICK = bytes.fromhex(
    "0f31 48c1e220 4809d0 4989c0 4989c1"
    "0f31 48c1e220 4809d0 4889c1 4c29c1 4989c0 4881f910270000 770b 4c29c8 483d808d5b00 72da 31c0 c3"
)


def blob(name, code, flags=0, minor=0, bss=0, services=0, heap=0, time_us=0, records=b""):
    """A module of version 1.`minor`.0 with the given text, whose entry is its first byte."""
    abi_major, abi_minor = struct.unpack_from("<HH", GOLDEN.read_bytes(), 8)
    (fingerprint,) = struct.unpack_from("<Q", GOLDEN.read_bytes(), 16)
    header = struct.pack("<IHHHHIQ32s", 0x4D4F4442, 1, 62, abi_major, abi_minor, flags, fingerprint, name.encode())
    # Version, entry; text, rodata, data, bss; alignment; fix-ups, their bytes, those of records.
    header += struct.pack("<12I", 1, minor, 0, 0, len(code), 0, 0, bss, 16, 0, 0, len(records))
    # Services, stack, heap, time; the CPU level and three zeros.
    header += struct.pack("<4IB3x", services, 0, heap, time_us, 1)
    rest = code + records
    return header + struct.pack("<I", crc32c(header + rest)) + rest


def record(kind, data):
    return struct.pack("<II", kind, len(data)) + data


def depends(name):
    """The record of a module that may call any version of another one."""
    return record(DEPENDS, bytes([len(name)]) + name.encode() + struct.pack("<6I", 0, 0, 0, *[0xFFFFFFFF] * 3))


def schema(size, field="a", fingerprint=77):
    """The record of a state with one field."""
    head = struct.pack("<IIQ", size, 1, fingerprint)
    return record(STATE_SCHEMA, head + struct.pack("<IQBB", size, 5, len(field), 2) + field.encode() + b"u8")
