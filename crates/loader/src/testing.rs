//! Shared test helpers: hand-made blobs, and a platform without hardware.

use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

use allocator_api2::alloc::Global;
use bareflow_abi::Reason;
use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::interface::FIRST_FUNCTION;
use bareflow_abi::layout::DATA_OFFSET;
use bareflow_abi::memory::{CANNOT_GROW, MEMORY_PAGE_SIZE};

use crate::diagnosis::Diagnosis;
use crate::fault::Fault;
use crate::manager::ModuleManager;
use crate::name::Name;
use crate::platform::{
    Call, CallFailure, CallOutcome, Callees, FastExit, FastReturn, ImageSize, LinearMemory, Occurrence, Platform,
    PlatformError, RegionMemory, TimedCall, WritableImage,
};
use crate::policy::kernel_domain::KernelDomain;
use crate::policy::{Domain, Placement};
use crate::profile::Timing;
use crate::profile::Usage;
use crate::profile::counters::Counters;

/// Valid blobs, byte by byte.
pub mod blob {
    use bareflow_abi::depends::Dependency;
    use bareflow_abi::fingerprint::FINGERPRINT;
    use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, Header, MACHINE_X86_64, MAGIC, checksum_of};
    use bareflow_abi::record::{DEPENDENCIES, VARIANT};
    use bareflow_abi::variant::{VARIANT_HEADER_SIZE, VariantHeader};
    use bareflow_abi::{ABI_MAJOR, ABI_MINOR};
    use std::vec::Vec;

    use crate::format::code::{base_header, file_size};

    /// The text of every blob in this module.
    pub const TEXT: [u8; 8] = [0xb8, 42, 0, 0, 0, 0xc3, 0, 0];

    /// Returns a blob with text only.
    pub fn small(name: &str) -> Vec<u8> {
        let mut header = Header {
            magic: MAGIC,
            format: FORMAT_VERSION,
            machine: MACHINE_X86_64,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            abi_fingerprint: FINGERPRINT,
            version_major: 1,
            text_size: TEXT.len() as u32,
            alignment: 16,
            cpu_level: 1,
            ..Header::default()
        };
        header.name[..name.len()].copy_from_slice(name.as_bytes());
        let mut bytes = [header.to_bytes().as_slice(), &TEXT].concat();
        seal(&mut bytes);
        bytes
    }

    /// Returns a blob with all parts.
    ///
    /// These are a fix-up in rodata that points to the text, one in data that points to the end of the bss, and a
    /// skippable record.
    pub fn full() -> Vec<u8> {
        let mut bytes = small("full");
        bytes.extend([[1; 8], 5_u64.to_le_bytes()].concat());
        bytes.extend(0x5000_0028_u64.to_le_bytes());
        // The distances 0x40000008, and from there 0x0ffffff8 to 0x50000000.
        bytes.extend([0x88, 0x80, 0x80, 0x80, 0x04, 0xf8, 0xff, 0xff, 0x7f]);
        bytes.extend([1, 0, 0, 0x80, 2, 0, 0, 0, 9, 9]);
        change_header(&mut bytes, |header| {
            (header.rodata_size, header.data_size, header.bss_size) = (16, 8, 32);
            (header.fixup_count, header.fixup_size, header.record_size) = (2, 9, 10);
        });
        bytes
    }

    /// Returns a [`small`] blob of the given version.
    pub fn version(name: &str, major: u32, minor: u32) -> Vec<u8> {
        let mut bytes = small(name);
        change_header(&mut bytes, |header| (header.version_major, header.version_minor) = (major, minor));
        bytes
    }

    /// Returns a blob like [`version`]'s with a dependency list.
    ///
    /// Entries: name, lowest major version, first excluded one.
    pub fn depending(name: &str, major: u32, minor: u32, on: &[(&str, u32, u32)]) -> Vec<u8> {
        let mut list = Vec::new();
        for &(name, from, below) in on {
            let entry = Dependency { name, from: [from, 0, 0], below: Some([below, 0, 0]) };
            entry.encode(&mut |part| list.extend_from_slice(part));
        }
        let mut bytes = version(name, major, minor);
        add_record(&mut bytes, DEPENDENCIES, &list);
        bytes
    }

    /// Returns a [`full`] blob with a variant for `level`, whose header is changed by `change`.
    pub fn with_variant(level: u8, change: impl FnOnce(&mut VariantHeader)) -> Vec<u8> {
        let mut bytes = full();
        add_variant(&mut bytes, level, change);
        bytes
    }

    /// Appends a variant after all records: the blob's own code, which returns 43 instead.
    pub fn add_variant(bytes: &mut Vec<u8>, level: u8, change: impl FnOnce(&mut VariantHeader)) {
        let header = Header::from_bytes(bytes.first_chunk().unwrap());
        let mut fields = VariantHeader { level, ..base_header(&header) };
        let length = file_size(&fields) as usize;
        change(&mut fields);
        let mut record = [&fields.to_bytes()[..], &bytes[HEADER_SIZE..][..length]].concat();
        record[VARIANT_HEADER_SIZE + 1] = 43;
        add_record(bytes, VARIANT, &record);
    }

    /// Appends a record after all others.
    pub fn add_record(bytes: &mut Vec<u8>, kind: u32, record: &[u8]) {
        bytes.extend(kind.to_le_bytes());
        bytes.extend((record.len() as u32).to_le_bytes());
        bytes.extend(record);
        change_header(bytes, |header| header.record_size += 8 + record.len() as u32);
    }

    /// Changes the header and corrects the checksum.
    pub fn change_header(bytes: &mut [u8], change: impl FnOnce(&mut Header)) {
        let (start, _) = bytes.split_first_chunk_mut::<HEADER_SIZE>().unwrap();
        let mut header = Header::from_bytes(start);
        change(&mut header);
        *start = header.to_bytes();
        seal(bytes);
    }

    /// Corrects the checksum.
    pub fn seal(bytes: &mut [u8]) {
        let checksum = checksum_of(bytes).unwrap();
        bytes[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// An image that is never executed.
#[derive(Debug)]
pub struct FakeImage {
    pub base: u64,
    pub text: Vec<u8>,
    pub rodata: Vec<u8>,
    pub data: RefCell<Vec<u8>>,
    /// Whether its module imports `regions`.
    pub imports_regions: bool,
    /// The linear memory, if it has one.
    pub memory: Option<(LinearMemory, RefCell<Vec<u8>>)>,
}

impl FakeImage {
    /// Returns the address of the linear memory.
    pub const fn memory_base(&self) -> u64 {
        self.base << 16
    }
}

impl WritableImage for FakeImage {
    fn base(&self) -> u64 {
        self.base
    }
    fn segments(&mut self) -> [&mut [u8]; 3] {
        [&mut self.text, &mut self.rodata, self.data.get_mut()]
    }
    fn memory_base(&self) -> u64 {
        FakeImage::memory_base(self)
    }
    fn prepare_regions(&mut self, imports_them: impl FnOnce() -> bool) {
        self.imports_regions = imports_them();
    }
}

/// A platform whose modules return 42 in ten cycles unless a test says otherwise.
pub struct FakePlatform {
    /// The results of the next calls, instead of 42.
    pub results: RefCell<VecDeque<Result<i32, Fault>>>,
    /// The diagnoses of the next faults.
    pub diagnoses: RefCell<VecDeque<Diagnosis>>,
    /// The reasons of all calls so far, without those of functions.
    pub reasons: RefCell<Vec<Reason>>,
    /// The number of images that are reserved or sealed, and not released.
    pub images: Cell<usize>,
    /// The maximum number of images.
    pub capacity: usize,
    /// Whether memory for images is short for now.
    pub is_short: Cell<bool>,
    /// Whether images are filled anew.
    pub refills: Cell<bool>,
    /// Whether there is a user domain.
    pub has_user: bool,
    /// The bytes that modules write to their output.
    pub output: &'static [u8],
    /// The time on the clock, in cycles.
    pub time: Cell<u64>,
    /// The time for timers, in microseconds.
    pub microseconds: Cell<Option<u64>>,
    /// The calls of functions so far: module, number of the function, and the first eight bytes of the input.
    pub functions: RefCell<Vec<(Name, u32, u64)>>,
    /// Whether it counts instructions: a hundred for each call, but 40 for one of the empty module.
    pub counts: bool,
    /// The number of instructions so far.
    pub instructions: Cell<u64>,
    /// The actions during the next calls, while the module's code would run.
    pub meanwhile: RefCell<VecDeque<Box<dyn FnOnce()>>>,
    /// The first actions of the next calls of modules with dependencies.
    pub inside: RefCell<VecDeque<Inside>>,
    /// The pages of regions that are allocated.
    pub region_pages: Cell<u64>,
    /// The maximum number of these pages, and of mappings of regions.
    pub region_capacity: Cell<[u64; 2]>,
    /// The mappings of regions: the region's address, the image's base, and whether it can be written.
    pub region_mappings: RefCell<Vec<(u64, u64, bool)>>,
    /// The devices, if there are any.
    #[cfg(feature = "devices")]
    pub device_bus: Cell<Option<&'static dyn crate::platform::DeviceBus>>,
    /// The bytes of linear memory that there may still be.
    pub memory_left: Cell<u64>,
    /// The occurrences that were traced.
    pub traced: RefCell<Vec<(Name, Occurrence)>>,
}

/// The action of a module that may call others.
pub type Inside = Box<dyn FnOnce(&dyn Callees)>;

impl Default for FakePlatform {
    fn default() -> FakePlatform {
        FakePlatform {
            results: RefCell::default(),
            diagnoses: RefCell::default(),
            reasons: RefCell::default(),
            images: Cell::new(0),
            capacity: usize::MAX,
            is_short: Cell::new(false),
            refills: Cell::new(false),
            has_user: false,
            output: b"",
            time: Cell::new(0),
            microseconds: Cell::new(Some(0)),
            functions: RefCell::default(),
            counts: false,
            instructions: Cell::new(0),
            meanwhile: RefCell::default(),
            inside: RefCell::default(),
            region_pages: Cell::new(0),
            region_capacity: Cell::new([u64::MAX; 2]),
            region_mappings: RefCell::default(),
            #[cfg(feature = "devices")]
            device_bus: Cell::new(None),
            memory_left: Cell::new(u64::MAX),
            traced: RefCell::default(),
        }
    }
}

const OUT_OF_MEMORY: PlatformError = PlatformError { what: "reserve an image", bytes: 0 };

#[expect(unsafe_code, reason = "a test's platform runs no native code")]
// SAFETY: its calls run no module's code.
unsafe impl Platform for &FakePlatform {
    const HAS_FAST_PATH: bool = true;
    type Alloc = Global;
    type WritableImage = FakeImage;
    type Image = FakeImage;

    fn allocator(&self) -> Global {
        Global
    }
    fn offered_services(&self) -> u32 {
        SERVICE_LOG | SERVICE_CLOCK | SERVICE_CALL
    }
    fn cpu_level(&self) -> u8 {
        2
    }
    fn has_domain(&self, domain: Domain) -> bool {
        domain == Domain::Kernel || self.has_user
    }
    fn allocate(&self, size: ImageSize, _: &Placement) -> Result<FakeImage, PlatformError> {
        if self.images.get() == self.capacity {
            return Err(OUT_OF_MEMORY);
        }
        if self.is_short.get() {
            return Err(PlatformError { bytes: 4096, ..OUT_OF_MEMORY });
        }
        self.images.set(self.images.get() + 1);
        let zeroed = |length: u32| std::vec![0; length as usize];
        let base = 0x1000_0000 * self.images.get() as u64;
        Ok(FakeImage {
            base,
            text: zeroed(size.text_bytes),
            rodata: zeroed(size.rodata_bytes),
            data: RefCell::new(zeroed(size.data_bytes)),
            imports_regions: false,
            memory: None,
        })
    }
    fn allocate_with_memory(
        &self,
        size: ImageSize,
        placement: &Placement,
        memory: &LinearMemory,
    ) -> Result<FakeImage, PlatformError> {
        let left = self.memory_left.get().checked_sub(memory.initial_bytes()).ok_or(OUT_OF_MEMORY)?;
        let image = self.allocate(size, placement)?;
        self.memory_left.set(left);
        let bytes = RefCell::new(std::vec![0; memory.initial_bytes() as usize]);
        Ok(FakeImage { memory: Some((*memory, bytes)), ..image })
    }
    fn grow_memory(&self, image: &FakeImage, pages: u64) -> u64 {
        let Some((memory, bytes)) = &image.memory else { return CANNOT_GROW };
        let (mut bytes, more) = (bytes.borrow_mut(), pages.saturating_mul(MEMORY_PAGE_SIZE));
        let left = self.memory_left.get().checked_sub(more);
        let (Some(left), Some(grown)) = (left, memory.grown(bytes.len() as u64, pages)) else { return CANNOT_GROW };
        self.memory_left.set(left);
        let before = bytes.len() as u64 / MEMORY_PAGE_SIZE;
        bytes.resize(grown as usize, 0);
        let at = memory.words as usize + 8;
        image.data.borrow_mut()[at..at + 8].copy_from_slice(&grown.to_le_bytes());
        before
    }
    #[cfg(feature = "devices")]
    fn device_bus(&self) -> Option<&dyn crate::platform::DeviceBus> {
        self.device_bus.get()
    }
    fn seal(&self, image: FakeImage) -> Result<FakeImage, PlatformError> {
        Ok(image)
    }
    fn release(&self, image: FakeImage) {
        if let Some((_, bytes)) = image.memory {
            self.memory_left.set(self.memory_left.get() + bytes.borrow().len() as u64);
        }
        self.images.set(self.images.get() - 1);
    }
    fn refill(&self, image: &mut FakeImage, size: ImageSize, fill: impl FnOnce(&mut dyn WritableImage)) -> bool {
        let lengths = image.segments().map(|segment| segment.len() as u32);
        let fits = self.refills.get() && lengths == [size.text_bytes, size.rodata_bytes, size.data_bytes];
        if fits {
            image.segments().into_iter().for_each(|segment| segment.fill(0));
            if let Some((memory, bytes)) = &mut image.memory {
                *bytes.get_mut() = std::vec![0; memory.initial_bytes() as usize];
            }
            fill(image);
        }
        fits
    }
    fn reach(&self, image: &FakeImage, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        if let (Some((_, bytes)), Some(start)) = (&image.memory, address.checked_sub(image.memory_base())) {
            let end = start.checked_add(length).map(|end| end as usize);
            return end.is_some_and(|end| bytes.borrow_mut().get_mut(start as usize..end).map(look).is_some());
        }
        let start = address.checked_sub(image.base + DATA_OFFSET).map(|start| start as usize);
        let mut data = image.data.borrow_mut();
        let found = start.and_then(|start| data.get_mut(start..start.checked_add(length as usize)?));
        // In two pieces, as a platform may.
        let is_there = found.is_some();
        if let Some(found) = found {
            let (first, second) = found.split_at_mut(found.len() / 16 * 8);
            [first, second].into_iter().for_each(look);
        }
        is_there
    }
    fn image_usage(&self, _: &FakeImage) -> Usage {
        Usage { pages: 1, ..Usage::default() }
    }
    fn usage(&self) -> Option<Usage> {
        Some(Usage { pages: self.images.get() as u64 + self.region_pages.get(), ..Usage::default() })
    }
    fn has_regions(&self, domain: Domain) -> bool {
        domain == Domain::Kernel
    }
    fn allocate_region(&self, pages: u32) -> Result<RegionMemory, PlatformError> {
        let all = self.region_pages.get() + u64::from(pages);
        if all > self.region_capacity.get()[0] {
            return Err(OUT_OF_MEMORY);
        }
        self.region_pages.set(all);
        self.time.set(self.time.get() + 1);
        Ok(RegionMemory { address: self.time.get() << 32, pages })
    }
    fn free_region(&self, memory: RegionMemory) {
        assert!(self.region_mappings.borrow().iter().all(|mapping| mapping.0 != memory.address), "it is mapped");
        self.region_pages.set(self.region_pages.get() - u64::from(memory.pages));
    }
    fn map_region(&self, memory: &RegionMemory, image: &FakeImage, is_writable: bool) -> Result<u64, PlatformError> {
        let mut mappings = self.region_mappings.borrow_mut();
        if mappings.len() as u64 == self.region_capacity.get()[1] {
            return Err(OUT_OF_MEMORY);
        }
        assert!(mappings.iter().all(|mapping| (mapping.0, mapping.1) != (memory.address, image.base)), "it is mapped");
        mappings.push((memory.address, image.base, is_writable));
        Ok(memory.address + image.base)
    }
    fn unmap_region(&self, memory: &RegionMemory, image: &FakeImage) {
        let mut mappings = self.region_mappings.borrow_mut();
        let mapped = |mapping: &(u64, u64, bool)| (mapping.0, mapping.1) == (memory.address, image.base);
        let found = mappings.iter().position(mapped).expect("it is not mapped");
        mappings.remove(found);
    }
    fn microseconds(&self) -> Option<u64> {
        self.microseconds.get()
    }
    fn trace(&self, module: &Name, occurrence: Occurrence) {
        self.traced.borrow_mut().push((*module, occurrence));
    }
    fn clock(&self) -> u64 {
        self.time.get()
    }
    fn clock_fenced(&self) -> u64 {
        self.time.get()
    }
    fn call(&self, call: &Call<'_, FakeImage>, output: &mut [u8]) -> Result<TimedCall, CallFailure> {
        let meanwhile = self.meanwhile.borrow_mut().pop_front();
        let ((), cycles) = call.timing.measure(self, || {
            if let Some(meanwhile) = meanwhile {
                meanwhile();
            }
            self.time.set(self.time.get() + 10);
        });
        self.reasons.borrow_mut().extend(Reason::ALL.into_iter().find(|reason| *reason as u32 == call.reason));
        if let Some(function) = call.reason.checked_sub(FIRST_FUNCTION) {
            let input = call.input.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            self.functions.borrow_mut().push((*call.module, function, input));
        }
        let instructions = if call.module.as_str() == "empty" { 40 } else { 100 };
        self.instructions.set(self.instructions.get() + instructions);
        let output_length = output.len().min(self.output.len());
        output[..output_length].copy_from_slice(&self.output[..output_length]);
        self.results
            .borrow_mut()
            .pop_front()
            .unwrap_or(Ok(42))
            .map(|result| TimedCall { outcome: CallOutcome { result, output_length }, cycles })
            .map_err(CallFailure::Fault)
    }
    fn call_fast(&self, call: &Call<'_, FakeImage>) -> Result<FastReturn, FastExit> {
        if matches!(self.results.borrow().front(), Some(Err(_))) {
            return Err(FastExit::NOT_CALLED);
        }
        let TimedCall { outcome, cycles } = self.call(call, &mut []).map_err(|_| FastExit::NOT_CALLED)?;
        Ok(FastReturn { result: outcome.result, cycles })
    }
    fn diagnosis(&self) -> Option<Diagnosis> {
        self.diagnoses.borrow_mut().pop_front()
    }
    fn counters(&self) -> Option<Counters> {
        self.counts.then(|| Counters { instructions: self.instructions.get(), ..Counters::default() })
    }
    fn call_with_callees(
        &self,
        call: &Call<'_, FakeImage>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallFailure> {
        let inside = self.inside.borrow_mut().pop_front();
        if let Some(inside) = inside {
            inside(callees);
        }
        self.call(call, output)
    }
}

/// Returns a manager that loads into both domains.
#[expect(unsafe_code, reason = "a test's platform runs no native code")]
pub fn manager(platform: &FakePlatform, timing: Timing) -> ModuleManager<&FakePlatform> {
    // SAFETY: the platform runs no code.
    ModuleManager::with_kernel_domain(platform, timing, unsafe { KernelDomain::trust_all_blobs() })
}

/// A manager of a platform, both of which stay for good.
#[cfg(all(feature = "reload", feature = "semver"))]
pub type LeakedManager = ModuleManager<&'static FakePlatform>;

/// Returns a platform and its manager, which calls made by modules can use, too.
#[cfg(all(feature = "reload", feature = "semver"))]
pub fn leaked_manager() -> (&'static FakePlatform, &'static LeakedManager) {
    let platform: &_ = Box::leak(Box::new(FakePlatform::default()));
    (platform, Box::leak(Box::new(manager(platform, Timing::Precise))))
}
