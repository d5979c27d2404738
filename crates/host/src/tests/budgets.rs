use super::*;
use std::time::{Duration, Instant};

const SHORT: Budget = Budget { time_us: 20_000, ..Budget::DEFAULT };

#[test]
fn ends_calls_that_take_too_long() {
    let platform = platform();
    for domain in Domain::ALL {
        let placement = Placement { domain, budget: SHORT, services: u32::MAX };
        for _ in 0..3 {
            let start = Instant::now();
            let fault = execute(&platform, &[0x90, 0xeb, 0xfe], &placement).unwrap_err();
            let offset = (domain == Domain::Kernel).then_some(1);
            assert_eq!(fault, Fault { kind: FaultKind::TimeBudget, offset, address: None }, "{domain:?}");
            assert!(start.elapsed() >= Duration::from_millis(20));
            assert_eq!(execute(&platform, &RETURN_42, &placement), Ok(42));
        }
    }
}

#[test]
fn leaves_calls_alone_that_end_in_time() {
    let platform = platform();
    for domain in Domain::ALL {
        let image = place(&platform, &RETURN_42, &Placement { domain, budget: SHORT, services: u32::MAX });
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(200) {
            assert_eq!(call(&platform, &image), Ok(42));
        }
        platform.release(image);
    }
}

#[test]
fn watches_threads_that_come_and_go() {
    for _ in 0..5 {
        let threads = [(); 3].map(|()| {
            std::thread::spawn(|| {
                let placement =
                    Placement { domain: Domain::Kernel, budget: Budget { time_us: 3000, ..SHORT }, services: u32::MAX };
                execute(&platform(), &FOR_EVER, &placement).unwrap_err().kind
            })
        });
        for thread in threads {
            assert_eq!(thread.join().unwrap(), FaultKind::TimeBudget);
        }
    }
}

#[test]
fn respects_the_stack_budget() {
    let platform = platform();
    // sub rsp, 16384; push rax; add rsp, 16392; ret
    let code = [0x48, 0x81, 0xec, 0, 0x40, 0, 0, 0x50, 0x48, 0x81, 0xc4, 8, 0x40, 0, 0, 0xc3];
    for domain in Domain::ALL {
        let with =
            |stack| Placement { domain, budget: Budget { stack_bytes: stack, ..Budget::DEFAULT }, services: u32::MAX };
        assert!(execute(&platform, &code, &with(20 << 10)).is_ok());
        let fault = execute(&platform, &code, &with(16 << 10)).unwrap_err();
        assert_eq!((fault.kind, fault.offset), (FaultKind::StackOverflow, Some(7)), "{domain:?}");
    }
}

#[test]
fn takes_any_stack() {
    let platform = platform();
    for (stack, domain) in
        [0, 5, u32::MAX].into_iter().flat_map(|stack| [Domain::Kernel, Domain::User].map(|domain| (stack, domain)))
    {
        let placement = Placement { budget: Budget { stack_bytes: stack, ..Budget::DEFAULT }, ..usual(domain) };
        assert_eq!(execute(&platform, &RETURN_42, &placement), Ok(42), "{stack} in {domain:?}");
        // push rbp; mov rbp, rsp; movaps [rbp - 16], xmm0; pop rbp; xor eax, eax; ret
        let aligned = [0x55, 0x48, 0x89, 0xe5, 0x0f, 0x29, 0x45, 0xf0, 0x5d, 0x31, 0xc0, 0xc3];
        assert_eq!(execute(&platform, &aligned, &placement), Ok(0), "{stack} in {domain:?}");
    }
}
