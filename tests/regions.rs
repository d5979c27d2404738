//! Regions of memory that modules share, in a kernel and in a process: lends, and what comes of them in each domain.

mod common;

use bareflow::client::Client;
use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::control::{LoadOverrides, Receipt};
use bareflow_protocol::{Request, Response};
use bareflow_regions::RegionError;
use common::kernel::{push_with, with_kernel};
use common::mutate::renamed;
use common::server::Local;

/// A kernel, or a server in this process.
trait System {
    fn ask(&mut self, request: Request<'_>) -> Response;
    fn push(&mut self, blob: &[u8], overrides: LoadOverrides<'_>);

    fn load(&mut self, blob: &[u8], domain: Domain) {
        let domain = Some(domain.name());
        self.push(blob, LoadOverrides { domain, on_fault: Some("restart"), ..LoadOverrides::default() });
    }

    /// Calls a module. Returns the result and the output, or what it was refused for.
    fn call(&mut self, module: &str, input: &str) -> Result<(i32, String), String> {
        match self.ask(Request::Call { module, input: input.as_bytes(), repeat: 1 }) {
            Response::Called(called) => Ok((called.result, String::from_utf8(called.output).unwrap())),
            Response::Refused(refusal) => Err(refusal.error.into_owned()),
            other => panic!("{other:?}"),
        }
    }

    /// Calls a module, which must succeed, and returns its output.
    #[track_caller]
    fn says(&mut self, module: &str, input: &str) -> String {
        let (result, output) = self.call(module, input).unwrap_or_else(|error| panic!("{input}: {error}"));
        assert_eq!(result, 0, "{module}: {input}");
        output
    }

    /// Calls a module, which must get this error.
    #[track_caller]
    fn fails(&mut self, module: &str, input: &str, error: RegionError) {
        use bareflow_abi::Failure;
        let expected = Ok((-error.number().cast_signed(), String::new()));
        assert_eq!(self.call(module, input), expected, "{module}: {input}");
    }

    /// Calls a module, whose call must end in this fault.
    #[track_caller]
    fn faults(&mut self, module: &str, input: &str, kind: &str) {
        let error = self.call(module, input).expect_err(input);
        assert!(error.contains(kind), "{input}: {error}");
    }

    fn unload(&mut self, module: &str) -> Receipt {
        match self.ask(Request::Unload { module }) {
            Response::Unloaded(receipt) => receipt,
            other => panic!("{other:?}"),
        }
    }
}

impl System for Client {
    fn ask(&mut self, request: Request<'_>) -> Response {
        Client::ask(self, request)
            .unwrap_or_else(|error| Response::Refused(error.downcast().unwrap_or_else(|lost| panic!("{lost}"))))
    }

    fn push(&mut self, blob: &[u8], overrides: LoadOverrides<'_>) {
        push_with(self, blob, overrides);
    }
}

impl System for Local {
    fn ask(&mut self, request: Request<'_>) -> Response {
        Local::ask(self, request)
    }

    fn push(&mut self, blob: &[u8], overrides: LoadOverrides<'_>) {
        let loaded = Local::push(self, blob, |push| push.overrides = overrides);
        assert!(matches!(loaded, Response::Loaded(_)), "{loaded:?}");
    }
}

/// Lends regions in each way from a module in one domain to one in another, takes them back, and unloads both.
fn lend_in_each_way(system: &mut dyn System, [owner, borrower]: [Domain; 2], counts_pages: bool) {
    system.load(&renamed("sharer", "owner", (1, 0, 0)), owner);
    system.load(&renamed("sharer-caller", "borrower", (1, 0, 0)), borrower);
    let create = |system: &mut dyn System| {
        let (region, _) = system.call("owner", "create 5000").unwrap();
        assert!(region > 0, "{region}");
        region
    };
    // A touch of what was taken back is a fault where there are page tables of one's own.
    let touch = |system: &mut dyn System, module: &str, domain: Domain, input: &str, kind: &str| match domain {
        Domain::User | Domain::Sandbox => system.faults(module, input, kind),
        Domain::Kernel => assert!(system.call(module, input).is_ok(), "{input}"),
    };

    // Exclusive: it moves.
    let region = create(system);
    assert_eq!(system.says("owner", &format!("write {region} exclusive hello")), "");
    system.says("owner", &format!("lend {region} borrower exclusive"));
    system.fails("owner", &format!("read {region} exclusive 5"), RegionError::Lent);
    assert_eq!(system.says("borrower", &format!("read {region} exclusive 5")), "hello");
    system.says("borrower", &format!("write {region} exclusive world\nlog {region} exclusive 5"));
    let place = system.says("borrower", &format!("place {region} exclusive"));
    // A slice of a region that is not open is none that may be passed.
    system.faults("borrower", &format!("pass {place}"), "bad_service_argument");
    system.fails("borrower", &format!("read {region} exclusive 5"), RegionError::NoSuchRegion);
    assert_eq!(system.says("owner", &format!("read {region} exclusive 5")), "world");
    touch(system, "borrower", borrower, &format!("touch {place}"), "page_read");
    system.says("owner", &format!("destroy {region}"));

    // What a callee takes back is gone when its caller goes on.
    let region = create(system);
    system.says("owner", &format!("lend {region} borrower shared"));
    let place = system.says("borrower", &format!("place {region} shared\nwrite {region} shared text"));
    assert_eq!(system.says("owner", &format!("read {region} shared 4")), "text");
    let nested = format!("touch {place}\nowner take_back {region}\ntouch {place}");
    touch(system, "borrower", borrower, &nested, "page_read");
    // But not what it has open.
    system.says("owner", &format!("lend {region} borrower shared"));
    let nested = format!("place {region} shared open\nowner take_back {region}");
    system.call("borrower", &nested).map(|(result, _)| assert_eq!(result, -5)).unwrap();
    system.says("owner", &format!("take_back {region}"));
    system.fails("borrower", &format!("give_back {region}"), RegionError::NoSuchRegion);
    // What others may write is no slice.
    system.says("owner", &format!("lend {region} borrower shared"));
    system.faults("borrower", &format!("place {region} shared open\npass {place}"), "bad_service_argument");
    assert_eq!(system.says("owner", &format!("read {region} exclusive 4")), "text");
    // A region as an argument that is written.
    assert_eq!(system.call("owner", &format!("self {region}")).unwrap().0, 4096);

    // Read-only, for its owner as well, whose fault is its end.
    system.says("owner", &format!("write {region} exclusive fixed\nlend {region} borrower read-only"));
    system.fails("owner", &format!("write {region} exclusive other"), RegionError::OtherAccess);
    assert_eq!(system.says("borrower", &format!("log {region} read-only 5\nread {region} read-only 5")), "fixed");
    let place = system.says("owner", &format!("place {region} read-only"));
    touch(system, "owner", owner, &format!("poke {place}"), "page_write");
    if owner == Domain::Kernel {
        system.faults("owner", "pass 1", "bad_service_argument");
    }
    system.fails("borrower", &format!("read {region} read-only 5"), RegionError::NoSuchRegion);

    // The end of either side takes all back.
    let region = create(system);
    system.says("owner", &format!("lend {region} borrower exclusive"));
    system.says("borrower", &format!("write {region} exclusive kept"));
    assert!(system.call("borrower", &format!("create {}", 3 * 4096)).unwrap().0 > 0);
    let receipt = system.unload("borrower");
    let balance = |receipt: &Receipt| {
        assert_eq!(receipt.pages_held, receipt.pages_returned, "{receipt:?}");
        assert_eq!(receipt.table_bytes_held, receipt.table_bytes_returned, "{receipt:?}");
    };
    assert!(!counts_pages || receipt.pages_held >= 3, "{receipt:?}");
    assert_eq!(system.says("owner", &format!("read {region} exclusive 4")), "kept");
    system.fails("owner", &format!("lend {region} borrower exclusive"), RegionError::NoSuchModule);
    let owned = system.unload("owner");
    assert!(!counts_pages || owned.pages_held >= 2, "{owned:?}");
    if counts_pages {
        balance(&receipt);
        balance(&owned);
    }
}

#[test]
fn modules_of_all_domains_share_regions_in_a_kernel() {
    with_kernel(
        |_| (),
        |client| {
            for owner in Domain::ALL {
                for borrower in Domain::ALL {
                    lend_in_each_way(client, [owner, borrower], true);
                }
            }
        },
    );
}

#[test]
fn modules_of_all_domains_share_regions_in_a_process() {
    let mut local = Local::new(LoadOptions::default());
    for owner in Domain::ALL {
        for borrower in Domain::ALL {
            lend_in_each_way(&mut local, [owner, borrower], false);
        }
    }
}
