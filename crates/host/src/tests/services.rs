use super::*;
use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use std::time::{Duration, Instant};

/// The context's second word is the table of services, whose second word is `log`: `push rbx; mov rbx, rdi; mov rax,
/// [rdi + 8]; lea rsi, [rip + ..]; mov edx, 2; call [rax + 8]`
const LOG_HI: [u8; 23] =
    [0x53, 0x48, 0x89, 0xfb, 0x48, 0x8b, 0x47, 8, 0x48, 0x8d, 0x35, 0, 0, 0, 0, 0xba, 2, 0, 0, 0, 0xff, 0x50, 8];

/// Returns that code, then `tail`, then the text.
pub(super) fn logging(tail: &[u8]) -> Vec<u8> {
    let mut code = [&LOG_HI, tail, b"hi"].concat();
    code[11] = (LOG_HI.len() - 15 + tail.len()) as u8;
    code
}

/// `pop rbx; mov eax, 42; ret`
pub(super) const AND_RETURN_42: [u8; 7] = [0x5b, 0xb8, 42, 0, 0, 0, 0xc3];

/// `jmp` to the beginning, but with the context in `rdi` again: `mov rdi, rbx; pop rbx; jmp ..`
const AND_AGAIN: [u8; 6] = [0x48, 0x89, 0xdf, 0x5b, 0xeb, 0xe3];

#[test]
fn logs_what_the_module_may_pass_on() {
    let (platform, lines) = listening();
    for domain in Domain::ALL {
        assert_eq!(execute(&platform, &logging(&AND_RETURN_42), &usual(domain)), Ok(42));
        assert_eq!(lines.take(), ["  [LOG] test: hi"], "{domain:?}");
    }
}

#[test]
fn logs_whatever_the_flags_are() {
    let (platform, lines) = listening();
    // pushfq; or dword ptr [rsp], 0x40400; popfq: sets AC and DF.
    let flags = [0x9c, 0x81, 0x0c, 0x24, 0, 4, 4, 0, 0x9d];
    let code = [&flags, logging(&AND_RETURN_42).as_slice()].concat();
    for domain in Domain::ALL {
        assert_eq!(execute(&platform, &code, &usual(domain)), Ok(42), "{domain:?}");
    }
    assert_eq!(lines.borrow().len(), 2);
}

#[test]
fn takes_other_arguments_for_faults() {
    let (platform, lines) = listening();
    // mov rdi, rbx; mov rax, [rdi + 8]; xor esi, esi; mov edx, 9; call [rax + 8]
    let null = [0x48, 0x89, 0xdf, 0x48, 0x8b, 0x47, 8, 0x31, 0xf6, 0xba, 9, 0, 0, 0, 0xff, 0x50, 8];
    // mov rdi, rbx; mov rax, [rdi + 8]; mov rsi, rsp; mov edx, 4097; call [rax + 8]
    let long = [0x48, 0x89, 0xdf, 0x48, 0x8b, 0x47, 8, 0x48, 0x89, 0xe6, 0xba, 1, 0x10, 0, 0, 0xff, 0x50, 8];
    // The same with the table of services itself, 8 bytes: mov rsi, rax
    let ours = [0x48, 0x89, 0xdf, 0x48, 0x8b, 0x47, 8, 0x48, 0x89, 0xc6, 0xba, 8, 0, 0, 0, 0xff, 0x50, 8];
    for domain in Domain::ALL {
        for bad in [&null[..], &long, &ours] {
            let fault = execute(&platform, &logging(bad), &usual(domain)).unwrap_err();
            let behind = (LOG_HI.len() + bad.len()) as u64;
            assert_eq!((fault.kind, fault.offset), (FaultKind::BadServiceArgument, Some(behind)), "{domain:?}");
            let diagnosis = platform.diagnosis().unwrap();
            let arguments = diagnosis.services.calls().iter().map(|call| call.arguments).collect::<Vec<_>>();
            assert_eq!(arguments.len(), 2);
            assert_eq!((fault.address, arguments[1][0]), (Some(diagnosis.registers[6]), diagnosis.registers[6]));
            assert_eq!(diagnosis.code(), b"hi");
            assert_eq!(lines.take(), ["  [LOG] test: hi"]);
            assert_eq!(execute(&platform, &RETURN_42, &usual(domain)), Ok(42));
        }
    }
}

#[test]
fn ends_a_module_that_calls_what_it_does_not_declare() {
    let (platform, lines) = listening();
    // push rbx; mov rax, [rdi + 8]; mov esi, 5; call [rax + 8 * service]
    let code = |service: u8| [0x53, 0x48, 0x8b, 0x47, 8, 0xbe, 5, 0, 0, 0, 0xff, 0x50, 8 * service];
    let services = [SERVICE_LOG, SERVICE_CLOCK, SERVICE_CALL];
    for domain in Domain::ALL {
        for (entry, service) in (1..).zip(services) {
            let placement = Placement { services: !service, ..usual(domain) };
            let fault = execute(&platform, &[&code(entry)[..], &AND_RETURN_42].concat(), &placement).unwrap_err();
            let behind = code(entry).len() as u64;
            let expected = Fault { kind: FaultKind::GeneralProtection, offset: Some(behind), address: None };
            assert_eq!(fault, expected, "{domain:?} {entry}");
            let diagnosis = platform.diagnosis().unwrap();
            assert_eq!(diagnosis.services.calls().last().map(|call| call.service), Some(service));
            assert!(lines.borrow().is_empty());
            assert_eq!(execute(&platform, &logging(&AND_RETURN_42), &usual(domain)), Ok(42));
            assert_eq!(lines.take(), ["  [LOG] test: hi"]);
        }
    }
}

#[test]
fn logs_an_empty_line_from_anywhere() {
    let (platform, lines) = listening();
    // push rbx; mov rax, [rdi + 8]; mov esi, 1; xor edx, edx; call [rax + 8]
    let code = [0x53, 0x48, 0x8b, 0x47, 8, 0xbe, 1, 0, 0, 0, 0x31, 0xd2, 0xff, 0x50, 8];
    for domain in Domain::ALL {
        assert_eq!(execute(&platform, &[&code[..], &AND_RETURN_42].concat(), &usual(domain)), Ok(42));
        assert_eq!(lines.take(), ["  [LOG] test: "]);
    }
}

#[test]
fn ends_a_module_that_does_nothing_but_log() {
    let budget = Budget { time_us: 20_000, ..Budget::DEFAULT };
    for domain in Domain::ALL {
        let platform = HostPlatform::new(Box::new(|_| std::thread::sleep(Duration::from_micros(10)))).unwrap();
        let fault =
            execute(&platform, &logging(&AND_AGAIN), &Placement { domain, budget, services: u32::MAX }).unwrap_err();
        assert_eq!(fault.kind, FaultKind::TimeBudget, "{domain:?}");
    }
}

#[test]
fn ends_a_call_when_its_service_took_too_long() {
    let budget = Budget { time_us: 10_000, ..Budget::DEFAULT };
    let log = |_: std::fmt::Arguments<'_>| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(300) {}
    };
    let platform = HostPlatform::new(Box::new(log)).unwrap();
    let placement = Placement { domain: Domain::Kernel, budget, services: u32::MAX };
    let fault = execute(&platform, &logging(&AND_RETURN_42), &placement).unwrap_err();
    // After the call of the service.
    assert_eq!((fault.kind, fault.offset), (FaultKind::TimeBudget, Some(LOG_HI.len() as u64)));
    assert_eq!(platform.diagnosis().unwrap().code()[0], AND_RETURN_42[0]);
}
