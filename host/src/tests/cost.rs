//! Measurements, for an idle machine:
//! `cargo test --release -p bareflow-host -- --ignored --nocapture --test-threads 1`.

use super::*;

/// Microseconds of the median of so many calls, `pause` apart, and ticks of the fastest.
fn cost(domain: Domain, calls: usize, pause: std::time::Duration) -> (f64, u64) {
    let platform = platform();
    let image = place(&platform, &RETURN_42, &usual(domain));
    let mut costs = (0..calls)
        .map(|_| {
            std::thread::sleep(pause);
            let (now, start) = (std::time::Instant::now(), platform.clock_fenced());
            assert_eq!(call(&platform, &image), Ok(42));
            (now.elapsed(), platform.clock_fenced() - start)
        })
        .collect::<Vec<_>>();
    platform.release(image);
    costs.sort_unstable();
    (costs[calls / 2].0.as_secs_f64() * 1e6, costs[0].1)
}

#[test]
#[ignore = "a measurement"]
fn of_an_empty_call() {
    for domain in Domain::ALL {
        for pause in [0, 1_000] {
            let (median, least) = cost(domain, 2000, std::time::Duration::from_micros(pause));
            println!("{} domain, {pause} us apart: median {median:.2} us, least {least} ticks", domain.name());
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn of_many_calls_in_the_kernel_domain() {
    let platform = platform();
    let image = place(&platform, &[0x31, 0xc0, 0xc3], &usual(Domain::Kernel));
    let block = || {
        let start = platform.clock_fenced();
        for _ in 0..10_000 {
            let _ = std::hint::black_box(call(&platform, &image));
        }
        platform.clock_fenced() - start
    };
    let least = (0..200).map(|_| block()).min().unwrap_or(0);
    println!("{} ticks per call", least as f64 / 10_000.0);
}

#[test]
#[ignore = "a measurement"]
fn of_a_load_in_the_user_domain() {
    let platform = platform();
    let start = std::time::Instant::now();
    for _ in 0..100 {
        platform.release(place(&platform, &RETURN_42, &usual(Domain::User)));
    }
    println!("{:.2} ms per load and release", start.elapsed().as_secs_f64() * 10.0);
}
