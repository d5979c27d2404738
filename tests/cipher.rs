//! A module that does not know by which provider its messages are sealed: the gallery's `vault`, with `chacha-cipher` and
//! `aes-cipher`.

mod common;

use std::fs;
use std::sync::OnceLock;

use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_cipher::{Cipher, CipherError};
use bareflow_host::{HostPlatform, SystemRandom};
use bareflow_loader::{Domain, ImportError, KernelDomain, LoadError, LoadOptions, ModuleManager, Timing, UnloadError};
use bareflow_random::Random;
use common::kernel::{call, push, with_kernel};
use common::{gallery_blob, root};

const KEY: &[u8; 32] = b"a key that no one else may know.";
const MESSAGE: &[u8] = b"a message";
const TO_AES: &str = "bind vault.cipher=aes-cipher\n";

/// Returns the blobs of the vault and the two ciphers.
fn blobs() -> &'static [Vec<u8>; 3] {
    static BLOBS: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    BLOBS.get_or_init(|| ["vault", "chacha-cipher", "aes-cipher"].map(|name| fs::read(gallery_blob(name)).unwrap()))
}

fn manager() -> ModuleManager<HostPlatform> {
    let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
    // SAFETY: the blobs were built here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted);
    manager.provide::<dyn Random, _>("kernel", SystemRandom).unwrap();
    manager
}

fn options(domain: Domain) -> LoadOptions {
    LoadOptions { domain, ..LoadOptions::default() }
}

/// Calls a function of the vault in this process: its result, and what it wrote.
fn vault(manager: &ModuleManager<HostPlatform>, function: &str, input: &[&[u8]]) -> (i32, Vec<u8>) {
    let function = manager.find_function(&format!("vault.{function}")).unwrap();
    let mut output = vec![0; 1000];
    let outcome = manager.execute_function(function, &input.concat(), &mut output).unwrap().outcome;
    output.truncate(outcome.output_length);
    (outcome.result, output)
}

#[test]
fn each_cipher_opens_what_it_sealed_and_nothing_else() {
    let [own, chacha, aes] = blobs();
    for (domain, others) in Domain::ALL.into_iter().flat_map(|one| Domain::ALL.map(|other| (one, other))) {
        let manager = manager();
        let [chacha, _] = [chacha, aes].map(|blob| manager.load_with(blob, &options(others)).unwrap());
        // Of the two, the one that its Cargo.toml names.
        manager.load_with(own, &options(domain)).unwrap();
        let (length, sealed) = vault(&manager, "lock", &[KEY, MESSAGE]);
        assert_eq!(length as usize, MESSAGE.len() + 28);
        assert_ne!(vault(&manager, "lock", &[KEY, MESSAGE]).1, sealed, "each message has a nonce of its own");
        assert_eq!(vault(&manager, "unlock", &[KEY, &sealed]), (MESSAGE.len() as i32, MESSAGE.to_vec()));
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert_eq!(vault(&manager, "unlock", &[KEY, &forged]), (-2, vec![]), "byte {at}");
        }
        assert!(matches!(manager.unload(chacha), Err(UnloadError::Used { .. })));
        // The other one takes its place, and then the first can go.
        let settings = options(domain);
        manager.replace(own, settings.with_parameters(&TO_AES)).unwrap();
        assert_eq!(vault(&manager, "unlock", &[KEY, &sealed]), (-2, vec![]));
        let (_, sealed) = vault(&manager, "lock", &[KEY, MESSAGE]);
        assert_eq!(vault(&manager, "unlock", &[KEY, &sealed]), (MESSAGE.len() as i32, MESSAGE.to_vec()));
        manager.unload(chacha).unwrap();
    }
}

#[test]
fn one_cipher_that_is_loaded_needs_no_name() {
    let mut module = module_at(&root().join("examples/gallery/vault/Cargo.toml")).unwrap();
    module.settings.bind.clear();
    let folder = tempfile::tempdir().unwrap();
    let own = build_module(&module, folder.path()).unwrap().bytes;
    let [_, chacha, aes] = blobs();
    for cipher in [chacha, aes] {
        let manager = manager();
        let refused =
            |error: LoadError| matches!(error, LoadError::Import { error: ImportError::NoProvider { .. }, .. });
        assert!(manager.load(&own).is_err_and(refused));
        manager.load(cipher).unwrap();
        manager.load(&own).unwrap();
        let (_, sealed) = vault(&manager, "lock", &[KEY, MESSAGE]);
        assert_eq!(vault(&manager, "unlock", &[KEY, &sealed]).1, MESSAGE);
    }
    let manager = manager();
    for cipher in [chacha, aes] {
        manager.load(cipher).unwrap();
    }
    let refused = |error: LoadError| matches!(error, LoadError::Import { error: ImportError::SeveralProviders, .. });
    assert!(manager.load(&own).is_err_and(refused));
}

#[test]
fn kernel_and_process_open_each_others_messages() {
    let [own, chacha, aes] = blobs();
    let process = manager();
    for blob in [chacha, aes, own] {
        process.load(blob).unwrap();
    }
    // The first processor has no instructions for either algorithm.
    for (cpu, domain) in ["qemu64,+rdrand", "max"].into_iter().zip(Domain::ALL) {
        with_kernel(
            |machine| machine.cpu = cpu.to_owned(),
            |client| {
                [chacha, aes].into_iter().for_each(|blob| push(client, blob, domain, ""));
                for lines in ["bind vault.cipher=chacha-cipher\n", TO_AES] {
                    push(client, own, domain, lines);
                    process.replace(own, LoadOptions::DEFAULT.with_parameters(&lines)).unwrap();
                    let sealed = call(client, "vault.lock", &[KEY, MESSAGE].concat()).output;
                    assert_eq!(vault(&process, "unlock", &[KEY, &sealed]).1, MESSAGE, "{cpu}, {lines}");
                    let (_, sealed) = vault(&process, "lock", &[KEY, MESSAGE]);
                    assert_eq!(call(client, "vault.unlock", &[KEY, &sealed[..]].concat()).output, MESSAGE);
                }
            },
        );
    }
}

#[test]
fn the_embedder_seals_by_either() {
    for (blob, name) in blobs()[1..].iter().zip(["chacha-cipher", "aes-cipher"]) {
        let manager = manager();
        manager.load(blob).unwrap();
        let bound = manager.bind::<dyn Cipher>(name).unwrap();
        let (cipher, mut message, mut tag) = (bound.client(), *b"message", [0; 16]);
        cipher.seal(KEY, &[7; 12], b"label", &mut message, &mut tag).unwrap();
        assert_ne!(&message, b"message");
        let mut other = message;
        assert_eq!(cipher.open(KEY, &[7; 12], b"other", &mut other, &tag), Err(CipherError::Forged));
        cipher.open(KEY, &[7; 12], b"label", &mut message, &tag).unwrap();
        assert_eq!(&message, b"message");
    }
}
