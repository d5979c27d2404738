//! A pipeline of three modules over rings in shared memory: the gallery's `pipe-source`, `pipe-hash` and `pipe-sink`.

mod common;

use std::fs;
use std::sync::OnceLock;

use bareflow_host::HostPlatform;
use bareflow_loader::{Domain, KernelDomain, LoadOptions, ModuleManager, Timing};
use bareflow_pipeline::BUFFER_BYTES;
use bareflow_protocol::{Request, Response};
use common::gallery_blob;
use common::kernel::{call, push, with_kernel};

/// Streams of so many letters `a`, and their hashes as Python's hashlib has them.
const HASHES: [(usize, &str); 8] = [
    (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (1, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    (1499, "26c57a05af9122a29d004a6a3766226bbd58824a25a291d06bcf6e40439e379d"),
    (1500, "b935f6b7a9c56a15e7b99c8d6d4b5e918f5a68fafc4490544a446b2ae47bf809"),
    (1501, "b41982e08c98fcc1789875b59c7ea78609dc48e4a99bccf4e874731e4ab25b0b"),
    (24_000, "11574d2dedf2c6deb7cd55201ac3bdfe39de6630f1412b16b1e7b7abd2a008c8"),
    (24_001, "e0b2419b0d7f761b82068f4226fdb8f4c7b53a28ae68072f3ccd5f02bfe1fefd"),
    (50_000, "77a0f923b96d18567b52376c56638acc5f030009735888bc47f2da5b4b65e3af"),
];

/// The domains of the sink, the hash and the source.
const DOMAINS: [[Domain; 3]; 4] = {
    use Domain::{Kernel, User};
    [[User; 3], [Kernel; 3], [User, Kernel, User], [Kernel, User, Kernel]]
};

/// Returns the blobs of the sink, the hash and the source, in the order in which they are loaded.
fn blobs() -> &'static [Vec<u8>; 3] {
    static BLOBS: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    BLOBS.get_or_init(|| ["pipe-sink", "pipe-hash", "pipe-source"].map(|name| fs::read(gallery_blob(name)).unwrap()))
}

/// Sends all streams through the pipeline by `call`, which returns result and output, and checks the hashes.
fn check(mut call: impl FnMut(&str, &[u8]) -> (i32, Vec<u8>), mut count: i32) {
    for (length, expected) in HASHES {
        let (chunks, _) = call("pipe-source", &vec![b'a'; length]);
        assert_eq!(chunks as usize, length.div_ceil(BUFFER_BYTES), "{length} bytes");
        count += 1;
        let (found, hash) = call("pipe-sink.last", b"");
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((found, &*hash), (count, expected), "{length} bytes");
    }
}

#[test]
fn hashes_streams_in_a_kernel_in_either_domain_and_across_both() {
    with_kernel(
        |_| (),
        |client| {
            for domains in DOMAINS {
                domains.into_iter().zip(blobs()).for_each(|(domain, blob)| push(client, blob, domain, ""));
                let run = |client: &mut _, count| {
                    let call = |module: &str, input: &[u8]| {
                        let called = call(client, module, input);
                        (called.result, called.output)
                    };
                    check(call, count);
                };
                run(client, 0);
                // A sink that is replaced loses its region, and gets another one; its state goes on.
                push(client, &blobs()[0], domains[0], "");
                run(client, HASHES.len() as i32);
                for module in ["pipe-source", "pipe-hash", "pipe-sink"] {
                    match client.ask(Request::Unload { module }).unwrap() {
                        Response::Unloaded(receipt) => {
                            assert_eq!(receipt.pages_held, receipt.pages_returned, "{module}")
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        },
    );
}

#[test]
fn hashes_streams_in_a_process_in_either_domain_and_across_both() {
    for domains in DOMAINS {
        hash_streams_in_a_process(domains);
    }
}

fn hash_streams_in_a_process(domains: [Domain; 3]) {
    let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
    // SAFETY: the blobs were built here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted);
    for (domain, blob) in domains.into_iter().zip(blobs()) {
        manager.load_with(blob, &LoadOptions { domain, ..LoadOptions::default() }).unwrap();
    }
    let call = |module: &str, input: &[u8]| {
        let mut output = [0; 64];
        let done = match module.split_once('.') {
            None => manager.execute_with(manager.find(module).unwrap(), input, &mut output).unwrap(),
            Some(_) => {
                manager.execute_function(manager.find_function(module).unwrap(), input, &mut output).unwrap().outcome
            }
        };
        (done.result, output[..done.output_length].to_vec())
    };
    check(call, 0);
}
