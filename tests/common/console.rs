//! The console's text as the C system had it, and the comparison of a run with it.

/// The text of a run without further modules, with `..` for figures and addresses.
const EXPECTED: &str = "\
========================================
  DYNAMIC MODULE SYSTEM - LLVM AOT
========================================

[INIT] Loading embedded modules...
[OK] Module loaded: fibonacci (entry: 0x..)
[OK] Module loaded: sum (entry: 0x..)
[OK] Module loaded: compute (entry: 0x..)
[OK] Module loaded: primes (entry: 0x..)

[OK] Loaded 4 modules

[TEST 1] Simple Sum Module
  Result: 5050 (expected: 5050)
  [OK] Test passed!

[TEST 2] Fibonacci Module
  Result: 6765 (expected: 6765)
  [OK] Test passed!

[TEST 3] Compute Intensive Module
  Running 10 iterations for profiling...
  [OK] 10 iterations completed

[TEST 4] Prime Counter Module
  Counting primes < 1000...
  Result: 168 primes found (expected: 168)
  [OK] Test passed!

========================================
      MODULE SYSTEM STATISTICS
========================================
Total modules loaded: 4
Total calls:          13
";

/// The seven lines at the start of each module's statistics.
const SEVEN: [&str; 7] = [
    "  Code address:  0x",
    "  Code size:     ",
    "  Calls:         ",
    "  Total cycles:  ",
    "  Avg cycles:    ",
    "  Min cycles:    ",
    "  Max cycles:    ",
];

/// Fails unless `text` is the console's text of a run without further modules.
#[track_caller]
pub fn assert_console(text: &str) {
    let mut shown = text.lines();
    for expected in EXPECTED.lines() {
        let line = shown.next().unwrap_or("(end of the text)");
        let blanked = match line.split_once("(entry: 0x") {
            Some((start, _)) => format!("{start}(entry: 0x..)"),
            None => line.to_owned(),
        };
        assert_eq!(blanked, expected, "\n{text}");
    }
    for name in ["fibonacci", "sum", "compute", "primes"] {
        let heading = format!("=== Module Stats: {name} ===");
        assert!(shown.by_ref().any(|line| line == heading), "no {heading}\n{text}");
        for start in SEVEN {
            let line = shown.next().unwrap_or_default();
            let figure = line.strip_prefix(start).unwrap_or_else(|| panic!("{line}, expected {start}\n{text}"));
            assert!(figure.starts_with(|first: char| first.is_ascii_hexdigit()), "{line}\n{text}");
        }
    }
    assert!(shown.any(|line| line == "Performance Comparison (avg cycles)"), "\n{text}");
    let end = "\n========================================\n\n=== ALL MODULE TESTS COMPLETED ===\n";
    assert!(text.ends_with(end), "\n{text}");
}
