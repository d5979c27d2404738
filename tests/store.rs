//! The interface `store`: values outlast the kernel and the process, and there is an error for each thing that is missing.
//! The gallery's module `store` passes calls on to it.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use bareflow::client::Client;
use bareflow::qemu::Machine;
use bareflow_abi::Out;
use bareflow_host::{FolderStore, HostPlatform};
use bareflow_loader::{Domain, KernelDomain, LoadOptions, ModuleManager, Timing};
use bareflow_store::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError};
use common::kernel::{call, disk, push, put, with_kernel};
use common::{assert_code, bareflow, gallery_blob};

/// The numbers of the errors.
const BAD_KEY: i32 = 2;
const TOO_LARGE: i32 = 3;
const NO_DISK: i32 = 6;
const READ_ONLY: i32 = 7;

/// Boots a kernel with a disk, if there is one, loads the module into `domain`, and does `work`.
fn with_store<T>(disk: Option<&Path>, is_read_only: bool, domain: Domain, work: impl FnOnce(&mut Client) -> T) -> T {
    let change = |machine: &mut Machine| {
        machine.data_disk = disk.map(Path::to_owned);
        machine.data_disk_read_only = is_read_only;
    };
    with_kernel(change, |client| {
        push(client, &fs::read(gallery_blob("store")).unwrap(), domain, "");
        work(client)
    })
}

fn count(client: &mut Client) -> i32 {
    call(client, "store.count", b"").result
}

#[test]
fn a_count_goes_on_when_the_kernel_boots_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    for (boot, domain) in (0..4).zip(Domain::ALL.into_iter().cycle()) {
        let counted = with_store(Some(&disk), false, domain, |client| {
            assert_eq!(put(client, &format!("boot.{boot}"), &vec![boot as u8; MAX_VALUE_BYTES]), 0);
            [count(client), count(client)]
        });
        assert_eq!(counted, [2 * boot + 1, 2 * boot + 2], "{domain:?}");
    }
    let partition = folder.path().join("partition");
    fs::write(&partition, &fs::read(&disk).unwrap()[1 << 20..]).unwrap();
    let check = ["fsck.vfat", "/usr/sbin/fsck.vfat", "/sbin/fsck.vfat"];
    let checked = check.iter().find_map(|name| Command::new(name).arg("-n").arg(&partition).output().ok());
    assert_code(&checked.expect("fsck.vfat; run `make setup`"), 0);
}

#[test]
fn a_kernel_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path());
    for domain in Domain::ALL {
        with_store(None, false, domain, |client| {
            assert_eq!((count(client), put(client, "key", b"value")), (-1, NO_DISK));
        });
        with_store(Some(&disk), true, domain, |client| {
            assert_eq!((count(client), put(client, "key", b"value")), (-1, READ_ONLY));
        });
        with_store(Some(&disk), false, domain, |client| {
            for key in ["", ".", "../modules/sum.mod", "a/b", "A", &"k".repeat(MAX_KEY_BYTES + 1)] {
                assert_eq!(put(client, key, b"value"), BAD_KEY, "{key}");
            }
            assert_eq!(put(client, "key", &vec![0; MAX_VALUE_BYTES + 1]), TOO_LARGE);
            assert_eq!(put(client, "key", &vec![0; MAX_VALUE_BYTES]), 0);
        });
    }
}

#[test]
fn a_process_stores_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    // SAFETY: the blob was built here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let with = |folder: Option<&Path>, domain| {
        let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
        let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted);
        manager.provide::<dyn Store, _>("kernel", FolderStore::new(folder.map(Path::to_owned))).unwrap();
        let options = LoadOptions { domain, ..LoadOptions::default() };
        manager.load_with(&fs::read(gallery_blob("store")).unwrap(), &options).unwrap();
        manager
    };
    for domain in Domain::ALL {
        for missing in [None, Some(folder.path().join("none"))] {
            let manager = with(missing.as_deref(), domain);
            let store = manager.bind::<dyn Store>("store").unwrap();
            let mut store = store.client();
            assert_eq!(store.put("key", b"value"), Err(StoreError::NoDisk));
            assert_eq!(store.get("key", &mut Out::new(&mut [])), Err(StoreError::NoDisk));
            assert_eq!(store.keys("", &mut Out::new(&mut [])), Err(StoreError::NoDisk));
        }
        let long = vec![7; MAX_VALUE_BYTES];
        for round in 0..2 {
            // A fresh process has nothing in its cache.
            let manager = with(Some(folder.path()), domain);
            let store = manager.bind::<dyn Store>("store").unwrap();
            let mut store = store.client();
            if round == 0 {
                assert_eq!(store.put("b", b"value"), Ok(()));
                assert_eq!(store.put("a.long", &long), Ok(()));
            }
            let mut room = vec![0; MAX_VALUE_BYTES];
            let mut into = Out::new(&mut room);
            assert_eq!(store.get("b", &mut into), Ok(()));
            assert_eq!(into.written(), b"value");
            assert_eq!(store.get("a.long", &mut into), Err(StoreError::NoRoom));
            let mut into = Out::new(&mut room);
            assert_eq!((store.get("a.long", &mut into), store.length("a.long")), (Ok(()), Ok(MAX_VALUE_BYTES as u32)));
            assert_eq!(into.written(), long);
            let mut into = Out::new(&mut room);
            assert_eq!(store.keys("", &mut into), Ok(2));
            assert_eq!(into.written(), b"a.long\nb\n");
        }
        let manager = with(Some(folder.path()), domain);
        let store = manager.bind::<dyn Store>("store").unwrap();
        let mut store = store.client();
        for key in ["", "..", "../escaped", "/tmp/escaped", "B"] {
            assert_eq!(store.put(key, b"value"), Err(StoreError::BadKey), "{key}");
        }
        assert_eq!((store.remove("b"), store.remove("b")), (Ok(()), Err(StoreError::NoSuchKey)));
        assert_eq!((store.remove("a.long"), store.length("a.long")), (Ok(()), Err(StoreError::NoSuchKey)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn the_command_stores_in_the_folder_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("new");
    let blob = gallery_blob("store");
    let arguments = ["host", blob.to_str().unwrap(), "--store", store.to_str().unwrap()];
    assert_code(&bareflow(arguments), 0);
    assert!(store.is_dir());
}
