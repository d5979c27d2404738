use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::RefCell;

use proptest::prelude::*;

use core::sync::atomic::Ordering;

use bareflow_device::DeviceError;

use super::super::buffers::BufferPage;
use super::super::messages::{Direction, RequestError};
use super::*;
use crate::patience::testing::PATIENCE;
use crate::registers::Part;
use crate::virtio::testing::{Peer, page};
use crate::virtio::{Broken, SharedPage};

/// The addresses of the three pages, and the places of the registers.
const PAGES: [u64; 3] = [0x1000, 0x2000, 0x3000];
const NOTIFY: u64 = 0x100;
const CONFIG: u64 = 0x200;
const LENGTH: u64 = 0x300;

/// An answer to a request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u32),
    /// A chain that it does not have.
    OtherChain,
    /// The end of the request, without an answer.
    Unwritten,
    Nothing,
}

/// An IOMMU.
struct Fake {
    features: u64,
    config: RefCell<[u8; 40]>,
    keeps_bypass: bool,
    registers: RefCell<BTreeMap<u64, u8>>,
    requests: RefCell<Peer>,
    reports: RefCell<Peer>,
    buffers: &'static BufferPage,
    /// All requests, and the answers to the next ones.
    asked: RefCell<Vec<Vec<u32>>>,
    answers: RefCell<Vec<Answer>>,
}

type Registered = &'static Fake;

impl Registers for Registered {
    fn length(&self) -> u64 {
        LENGTH
    }
    fn read_u8(&self, offset: u64) -> u8 {
        match offset.checked_sub(CONFIG) {
            Some(place) => self.config.borrow().get(place as usize).copied().unwrap_or(0),
            None => self.registers.borrow().get(&offset).copied().unwrap_or(0),
        }
    }
    fn read_u16(&self, offset: u64) -> u16 {
        match offset {
            // The size of a queue, that it is not in use, and the place of its notifications.
            24 => 64,
            28 => 0,
            30 => self.read_u8(22).into(),
            _ => u16::from_le_bytes([self.read_u8(offset), self.read_u8(offset + 1)]),
        }
    }
    fn read_u32(&self, offset: u64) -> u32 {
        let half = self.read_u8(0);
        match offset {
            4 => (self.features >> (32 * half)) as u32,
            _ => u32::from_le_bytes([0, 1, 2, 3].map(|byte| self.read_u8(offset + byte))),
        }
    }
    fn write_u8(&self, offset: u64, value: u8) {
        if offset == CONFIG + 36 && !self.keeps_bypass {
            self.config.borrow_mut()[36] = value;
        }
        self.registers.borrow_mut().insert(offset, value);
    }
    fn write_u16(&self, offset: u64, value: u16) {
        if offset == NOTIFY {
            self.answer();
        }
        value.to_le_bytes().iter().zip(offset..).for_each(|(byte, place)| self.write_u8(place, *byte));
    }
    fn write_u32(&self, offset: u64, value: u32) {
        value.to_le_bytes().iter().zip(offset..).for_each(|(byte, place)| self.write_u8(place, *byte));
    }
}

impl Fake {
    /// Answers all requests: well, if nothing else was said.
    fn answer(&self) {
        let mut peer = self.requests.borrow_mut();
        while let Some(id) = peer.next() {
            let chain = peer.chain(id);
            let [(address, length, false), (tail, 4, true)] = chain[..] else { panic!("{chain:?}") };
            let words = (0..length / 4).map(|word| address - PAGES[2] + u64::from(word) * 4);
            let words = words.map(|offset| self.buffers.word(offset).load(Ordering::Relaxed)).collect();
            self.asked.borrow_mut().push(words);
            let mut answers = self.answers.borrow_mut();
            match if answers.is_empty() { Answer::Status(0) } else { answers.remove(0) } {
                Answer::Status(status) => {
                    self.buffers.word(tail - PAGES[2]).store(status, Ordering::Relaxed);
                    peer.give_back(id, 4);
                }
                Answer::OtherChain => peer.give_back(id + 1, 4),
                Answer::Unwritten => peer.give_back(id, 0),
                Answer::Nothing => {}
            }
        }
    }

    /// Reports a fault.
    fn report(&self, words: [u32; 6], length: u32) -> bool {
        let mut peer = self.reports.borrow_mut();
        let Some(id) = peer.next() else { return false };
        let [(address, 24, true)] = peer.chain(id)[..] else { panic!("{:?}", peer.chain(id)) };
        let offsets = (address - PAGES[2]..).step_by(4);
        words.iter().zip(offsets).for_each(|(word, offset)| self.buffers.word(offset).store(*word, Ordering::Relaxed));
        peer.give_back(id, length);
        true
    }

    fn asked(&self) -> Vec<Vec<u32>> {
        self.asked.take()
    }
}

/// The configuration of QEMU's: pages from 4 KiB on, all addresses, all domains, and devices that go past it.
fn config() -> [u8; 40] {
    let mut config = [0; 40];
    config[..8].copy_from_slice(&(!0xfff_u64).to_le_bytes());
    config[16..24].fill(0xff);
    config[28..32].fill(0xff);
    config[36] = 1;
    config
}

const FEATURES: u64 = 1 << 32 | 0x77;

fn start(change: impl FnOnce(&mut Fake)) -> (&'static Fake, Result<Iommu<Registered>, IommuError>) {
    let queues = [page(), page()];
    // SAFETY: a page of a queue is as large and as aligned, of zeros, and lives for ever; all of both is atomic.
    let buffers: &'static BufferPage = unsafe { &*core::ptr::from_ref(page()).cast() };
    let mut fake = Fake {
        features: FEATURES,
        config: RefCell::new(config()),
        keeps_bypass: false,
        registers: RefCell::default(),
        requests: RefCell::new(Peer::new(queues[0], 2)),
        reports: RefCell::new(Peer::new(queues[1], 32)),
        buffers,
        asked: RefCell::default(),
        answers: RefCell::default(),
    };
    change(&mut fake);
    let fake: &'static Fake = Box::leak(Box::new(fake));
    let part = |start, length| Part::new(fake, start, length).unwrap();
    let device = VirtioDevice::new(part(0, 0x100), (part(NOTIFY, 0x100), 4), Some(part(CONFIG, 40)), PATIENCE).unwrap();
    // SAFETY: there is no device but this test's.
    let pages = unsafe {
        let queues = [SharedPage::new(queues[0], PAGES[0]), SharedPage::new(queues[1], PAGES[1])];
        Pages { queues, buffers: SharedPage::new(buffers, PAGES[2]) }
    };
    (fake, Iommu::new(device, pages))
}

fn started() -> (&'static Fake, Iommu<Registered>) {
    let (fake, iommu) = start(|_| ());
    (fake, iommu.unwrap())
}

#[test]
fn nothing_goes_past_it_once_it_is_started() {
    let (fake, mut iommu) = started();
    assert_eq!((fake.config.borrow()[36], fake.asked().len()), (0, 0));
    iommu.pass(16).unwrap();
    assert_eq!(fake.asked(), [[1, 0, 16, 1, 0]]);
    let unable = |change: &dyn Fn(&mut Fake)| matches!(start(|fake| change(fake)).1, Err(IommuError::Unable(_)));
    assert!(unable(&|fake| fake.keeps_bypass = true));
    assert!(unable(&|fake| fake.features &= !(1 << 2)));
    assert!(unable(&|fake| fake.features &= !(1 << 6)));
    assert!(unable(&|fake| fake.config.get_mut()[1] = 0));
    assert!(unable(&|fake| fake.config.get_mut()[20..24].fill(0)));
    assert!(unable(&|fake| fake.config.get_mut()[12] = 2));
    assert!(unable(&|fake| fake.config.get_mut()[24..28].fill(0xff)));
    let known = |features| {
        let (fake, _) = start(|fake| fake.features |= features);
        let part = |start, length| Part::new(fake, start, length).unwrap();
        let device = VirtioDevice::new(part(0, 0x100), (part(NOTIFY, 0x100), 4), None, PATIENCE).unwrap();
        device.uses_platform_addresses()
    };
    assert_eq!((known(0), known(1 << 33)), (false, true));
    let old = start(|fake| fake.features &= !(1 << 32)).1;
    assert!(matches!(old, Err(IommuError::Start(DeviceError::Features))));
}

#[test]
fn a_device_reaches_what_is_mapped_at_addresses_of_its_own() {
    let (fake, mut iommu) = started();
    let mut domain = iommu.open(3, 24).unwrap();
    let mut pages = [0x5000, 0x6000, 0x9000];
    iommu.map(&mut domain, &mut pages).unwrap();
    assert_eq!(pages, [0x1_0000_0000, 0x1_0000_1000, 0x1_0000_2000]);
    let mut others = [0x5000];
    iommu.map(&mut domain, &mut others).unwrap();
    assert_eq!(others, [0x1_0000_4000]);
    iommu.unmap(&domain, &pages).unwrap();
    iommu.close(domain).unwrap();
    let attach: &[u32] = &[1, 4, 24, 0, 0];
    assert_eq!(
        fake.asked(),
        [
            attach,
            &[3, 4, 0, 1, 0x1fff, 1, 0x5000, 0, 3],
            &[3, 4, 0x2000, 1, 0x2fff, 1, 0x9000, 0, 3],
            &[3, 4, 0x4000, 1, 0x4fff, 1, 0x5000, 0, 3],
            &[4, 4, 0, 1, 0x2fff, 1, 0],
            &[4, 4, 0, 1, 0x5fff, 1, 0],
            &[2, 4, 24, 0, 0],
        ]
    );
}

#[test]
fn what_fails_leaves_nothing_mapped() {
    let (fake, mut iommu) = started();
    let mut domain = iommu.open(0, 24).unwrap();
    fake.asked();
    fake.answers.replace([Answer::Status(0), Answer::Status(8)].into());
    let failed = iommu.map(&mut domain, &mut [0x5000, 0x9000]);
    assert!(matches!(failed, Err(IommuError::Request(RequestError::Refused(_)))));
    assert_eq!(fake.asked()[2], [4, 1, 0, 1, 0xfff, 1, 0]);
    // It goes on behind that.
    let mut pages = [0x5000];
    iommu.map(&mut domain, &mut pages).unwrap();
    assert_eq!(pages, [0x1_0000_3000]);
    // If not even that can be unmapped, nothing more is asked of it.
    fake.answers.replace([Answer::Status(0), Answer::Status(8), Answer::Status(3)].into());
    iommu.map(&mut domain, &mut [0x5000, 0x9000]).unwrap_err();
    assert_eq!(iommu.map(&mut domain, &mut pages), Err(IommuError::Lost));
    assert_eq!(iommu.close(domain), Err(IommuError::Lost));
}

#[test]
fn a_domain_that_can_not_be_closed_is_not_used_again() {
    // The request to unmap, or that to detach, is refused.
    for answers in [[Answer::Status(3), Answer::Status(0)], [Answer::Status(0), Answer::Status(3)]] {
        let (fake, mut iommu) = started();
        let mut domain = iommu.open(0, 24).unwrap();
        iommu.map(&mut domain, &mut [0x5000]).unwrap();
        assert!(!iommu.is_lost());
        fake.answers.replace(answers.into());
        assert!(matches!(iommu.close(domain), Err(IommuError::Request(RequestError::Refused(_)))));
        assert!(iommu.is_lost());
        assert_eq!(iommu.open(0, 32).unwrap_err(), IommuError::Lost);
    }
}

#[test]
fn addresses_and_domains_end() {
    let (fake, iommu) = start(|fake| {
        fake.config.get_mut()[16..24].copy_from_slice(&0x1_0000_2000_u64.to_le_bytes());
        fake.config.get_mut()[28..32].copy_from_slice(&2_u32.to_le_bytes());
    });
    let mut iommu = iommu.unwrap();
    assert!(matches!(iommu.open(2, 24), Err(IommuError::Unable(_))));
    assert!(matches!(iommu.open(u32::MAX, 24), Err(IommuError::Unable(_))));
    let mut domain = iommu.open(1, 24).unwrap();
    fake.asked();
    assert_eq!(iommu.map(&mut domain, &mut [0x5000, 0x6000]), Err(IommuError::NoAddresses));
    assert_eq!(iommu.map(&mut domain, &mut []), Err(IommuError::NoAddresses));
    iommu.map(&mut domain, &mut [0x5000]).unwrap();
    assert_eq!(iommu.map(&mut domain, &mut [0x5000]), Err(IommuError::NoAddresses));
    assert_eq!(fake.asked().len(), 1);
}

#[test]
fn an_answer_that_is_none_ends_its_use() {
    let answered = |answer| {
        let (fake, mut iommu) = started();
        fake.answers.replace([answer].into());
        (iommu.pass(16), iommu.pass(16))
    };
    assert!(matches!(answered(Answer::Status(6)), (Err(IommuError::Request(_)), Ok(()))));
    let unknown = |status| Err(IommuError::Request(RequestError::Unknown(status)));
    assert_eq!(answered(Answer::Status(99)), (unknown(99), Ok(())));
    assert_eq!(answered(Answer::Unwritten), (unknown(u32::MAX), Ok(())));
    assert_eq!(answered(Answer::Nothing), (Err(IommuError::Lost), Err(IommuError::Lost)));
    let broken = Err(IommuError::Broken(Broken::NotGiven { id: 1 }));
    assert_eq!(answered(Answer::OtherChain), (broken, Err(IommuError::Lost)));
}

#[test]
fn faults_are_told_and_room_is_given_again() {
    let (fake, mut iommu) = started();
    let taken = |iommu: &mut Iommu<Registered>| {
        let mut faults = Vec::new();
        iommu.take_faults(|fault| faults.push(fault)).map(|count| (count, faults))
    };
    assert_eq!(taken(&mut iommu), Ok((0, Vec::new())));
    let fault = Fault { endpoint: 24, address: Some(0x1_0000_2000), direction: Direction::Write };
    for _ in 0..10 {
        assert!((0..32).all(|_| fake.report([2, 0x102, 24, 0, 0x2000, 1], 24)));
        assert!(!fake.report([2, 0x102, 24, 0, 0x2000, 1], 24));
        assert_eq!(taken(&mut iommu).unwrap().1, [fault; 32]);
    }
    // One that is too short is none.
    assert!(fake.report([2, 0x102, 24, 0, 0x2000, 1], 20));
    assert_eq!(taken(&mut iommu), Ok((1, Vec::new())));
    fake.reports.borrow_mut().give_back(99, 24);
    assert_eq!(taken(&mut iommu), Err(IommuError::Broken(Broken::NotGiven { id: 99 })));
    assert_eq!(taken(&mut iommu), Err(IommuError::Lost));
}

proptest! {
    #[test]
    fn believes_no_answer(
        config in prop::collection::vec(any::<u8>(), 40),
        statuses in prop::collection::vec(prop_oneof![Just(0_u32), any::<u32>()], 0..20),
        reports in prop::collection::vec((any::<[u32; 6]>(), 0_u32..40), 0..20),
    ) {
        let (fake, iommu) = start(|fake| fake.config.get_mut().copy_from_slice(&config));
        if let Ok(mut iommu) = iommu {
            fake.answers.replace(statuses.into_iter().map(Answer::Status).collect());
            reports.into_iter().for_each(|(words, length)| _ = fake.report(words, length));
            _ = iommu.take_faults(|_| ());
            if let Ok(mut domain) = iommu.open(1, 8) {
                let mut pages = [0x5000, 0x7000];
                if iommu.map(&mut domain, &mut pages).is_ok() {
                    prop_assert!(pages[0] >= FIRST_ADDRESS && pages[1] == pages[0] + PAGE_SIZE);
                }
                _ = iommu.close(domain);
            }
        }
    }
}
