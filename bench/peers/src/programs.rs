//! The modules' work in the languages of the alternatives: the same algorithms, with loops that are not folded.

/// One program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of the module and of the C function.
    pub name: &'static str,
    /// The result.
    pub expected: i32,
    /// The function's body as WebAssembly text.
    wat: &'static str,
    /// The program in eBPF assembly.
    pub bpf: &'static str,
}

impl Program {
    /// Returns the whole WebAssembly module, in binary form.
    pub fn wasm(&self) -> wat::Result<Vec<u8>> {
        wat::parse_str(format!("(module (func (export \"run\") (result i32) {}))", self.wat))
    }
}

/// A program that returns at once.
pub const EMPTY: Program = Program { name: "empty", expected: 0, wat: "i32.const 0", bpf: "mov r0, 0\nexit" };

/// The programs of the four modules.
pub const FOUR: [Program; 4] = [
    Program {
        name: "fibonacci",
        expected: 6765,
        wat: "(local $current i32) (local $next i32) (local $sum i32) (local $step i32)
            (local.set $next (i32.const 1))
            (loop $steps
                (local.set $sum (i32.add (local.get $current) (local.get $next)))
                (local.set $current (local.get $next))
                (local.set $next (local.get $sum))
                (local.set $step (i32.add (local.get $step) (i32.const 1)))
                (br_if $steps (i32.lt_u (local.get $step) (i32.const 20))))
            (local.get $current)",
        bpf: "mov r0, 0\nmov r1, 1\nmov r2, 20\n\
            mov r3, r0\nadd r3, r1\nmov r0, r1\nmov r1, r3\nsub r2, 1\njne r2, 0, -6\nexit",
    },
    Program {
        name: "sum",
        expected: 5050,
        wat: "(local $sum i32) (local $number i32)
            (local.set $number (i32.const 1))
            (loop $numbers
                (local.set $sum (i32.add (local.get $sum) (local.get $number)))
                (local.set $number (i32.add (local.get $number) (i32.const 1)))
                (br_if $numbers (i32.le_u (local.get $number) (i32.const 100))))
            (local.get $sum)",
        bpf: "mov r0, 0\nmov r1, 1\nadd r0, r1\nadd r1, 1\njle r1, 100, -3\nexit",
    },
    Program {
        name: "compute",
        expected: 4_488_500,
        wat: "(local $sum i32) (local $i i32) (local $j i32)
            (loop $rows
                (local.set $j (i32.const 0))
                (loop $columns
                    (local.set $sum (i32.add (local.get $sum)
                        (i32.rem_u (i32.mul (local.get $i) (local.get $j)) (i32.const 1000))))
                    (local.set $j (i32.add (local.get $j) (i32.const 1)))
                    (br_if $columns (i32.lt_u (local.get $j) (i32.const 100))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $rows (i32.lt_u (local.get $i) (i32.const 100))))
            (local.get $sum)",
        bpf: "mov r0, 0\nmov r1, 0\n\
            mov r2, 0\n\
            mov r3, r1\nmul r3, r2\nmod r3, 1000\nadd r0, r3\nadd r2, 1\njlt r2, 100, -6\n\
            add r1, 1\njlt r1, 100, -9\nexit",
    },
    Program {
        name: "primes",
        expected: 168,
        wat: "(local $count i32) (local $number i32) (local $divisor i32)
            (local.set $count (i32.const 1))
            (local.set $number (i32.const 3))
            (loop $numbers
                (local.set $divisor (i32.const 3))
                (block $composite
                    (block $prime
                        (loop $divisors
                            (br_if $prime (i32.gt_u
                                (i32.mul (local.get $divisor) (local.get $divisor)) (local.get $number)))
                            (br_if $composite (i32.eqz (i32.rem_u (local.get $number) (local.get $divisor))))
                            (local.set $divisor (i32.add (local.get $divisor) (i32.const 2)))
                            (br $divisors)))
                    (local.set $count (i32.add (local.get $count) (i32.const 1))))
                (local.set $number (i32.add (local.get $number) (i32.const 2)))
                (br_if $numbers (i32.lt_u (local.get $number) (i32.const 1000))))
            (local.get $count)",
        bpf: "mov r0, 1\nmov r1, 3\n\
            mov r2, 3\n\
            mov r3, r2\nmul r3, r2\njgt r3, r1, +5\n\
            mov r4, r1\nmod r4, r2\njeq r4, 0, +3\n\
            add r2, 2\nja -8\n\
            add r0, 1\n\
            add r1, 2\njlt r1, 1000, -12\nexit",
    },
];
