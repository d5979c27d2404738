//! The parts of a blob that are kept besides its image, the options of its load, and its origin.

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::interface::bindings::Entries;

use crate::error::LoadError;
use crate::module::interfaces::Interfaces;
#[cfg(any(feature = "events", feature = "regions"))]
use crate::module::interfaces::provider_of;
#[cfg(feature = "supervision")]
use crate::module::supervision::Supervision;
#[cfg(any(feature = "events", feature = "regions"))]
use crate::name::Name;
#[cfg(all(feature = "portable", feature = "supervision"))]
use crate::policy::Domain;
use crate::policy::{FaultPolicy, LoadOptions};
use crate::profile::Usage;
use crate::provenance::Provenance;
#[cfg(all(feature = "portable", feature = "supervision"))]
use crate::provenance::digest;
#[cfg(feature = "portable")]
use crate::provenance::{Digest, digest_of_engine};

/// Blob metadata and options that are retained after loading; usually none.
pub(crate) struct Metadata<A: Allocator>(Option<Box<MetadataParts<A>, A>>);

/// A part of the metadata.
#[derive(Clone, Copy)]
enum Part {
    /// The state's schema.
    Schema,
    /// The dependency list.
    Depends,
    /// The symbols of the code.
    Symbols,
    /// The trap sites of the code.
    Traps,
    /// The areas of its instance of WebAssembly.
    #[cfg_attr(not(feature = "portable"), expect(dead_code, reason = "it is empty, and no one asks for it"))]
    Carry,
    /// The values of the parameters.
    #[cfg_attr(not(feature = "parameters"), expect(dead_code, reason = "it is empty, and no one asks for it"))]
    Values,
    /// The lines that set some of them.
    Lines,
    /// The whole blob.
    Blob,
}

/// The number of parts.
const PARTS: usize = Part::Blob as usize + 1;

/// The metadata of a module that has any.
struct MetadataParts<A: Allocator> {
    options: LoadOptions,
    /// The [`Part`]s, one after the other.
    bytes: Vec<u8, A>,
    /// The end of each part.
    ends: [u32; PARTS],
    /// The interfaces, if it has any.
    interfaces: Option<Box<Interfaces<A>, A>>,
    /// The origin, if an engine made the blob.
    #[cfg(feature = "portable")]
    provenance: Option<Provenance>,
    /// The digest of the blob, if the module is an engine.
    #[cfg(feature = "portable")]
    engine_digest: Option<Digest>,
    /// The digest of the blob, if the sandbox is asked for, an engine made the blob, and it is not kept.
    #[cfg(all(feature = "portable", feature = "supervision"))]
    compiled_digest: Option<Digest>,
    /// The supervision, if its policy asks for one.
    #[cfg(feature = "supervision")]
    supervision: Option<Box<Supervision<A>, A>>,
}

impl<A: Allocator + Clone> Metadata<A> {
    /// Copies the options and the parts that are needed later, in the order of [`Part`]; the blob only for restarts.
    ///
    /// # Errors
    /// [`LoadError::NoMemory`].
    pub(crate) fn new(
        options: &LoadOptions,
        mut parts: [&[u8]; PARTS],
        interfaces: [&[u8]; 3],
        provenance: Option<&Provenance>,
        allocator: A,
    ) -> Result<Metadata<A>, LoadError> {
        #[cfg(not(feature = "portable"))]
        let _ = provenance;
        #[cfg(feature = "portable")]
        let engine_digest = digest_of_engine(parts[Part::Blob as usize], interfaces[0]);
        let is_kept = cfg!(feature = "restart") && options.on_fault != FaultPolicy::Stop;
        #[cfg(all(feature = "portable", feature = "supervision"))]
        let compiled_digest = (provenance.is_some() && options.domain == Domain::Sandbox && !is_kept)
            .then(|| digest(parts[Part::Blob as usize]));
        if !is_kept {
            parts[Part::Blob as usize] = &[];
        }
        let mut bytes = Vec::new_in(allocator.clone());
        let length = parts.iter().map(|part| part.len()).sum();
        bytes.try_reserve_exact(length).map_err(|_| LoadError::NoMemory)?;
        let mut ends = [0; PARTS];
        for (part, end) in parts.iter().zip(&mut ends) {
            bytes.extend_from_slice(part);
            *end = u32::try_from(bytes.len()).map_err(|_| LoadError::NoMemory)?;
        }
        let interfaces = match interfaces {
            [[], ..] => None,
            records => Some(Interfaces::new(records, options.sample_every, &allocator).ok_or(LoadError::NoMemory)?),
        };
        #[cfg(feature = "supervision")]
        let supervision = if options.on_fault.is_delayed() {
            Some(Supervision::new(options.on_fault, &allocator).ok_or(LoadError::NoMemory)?)
        } else {
            None
        };
        let parts = MetadataParts {
            options: *options,
            bytes,
            ends,
            interfaces,
            #[cfg(feature = "portable")]
            provenance: provenance.copied(),
            #[cfg(feature = "portable")]
            engine_digest,
            #[cfg(all(feature = "portable", feature = "supervision"))]
            compiled_digest,
            #[cfg(feature = "supervision")]
            supervision,
        };
        Ok(Metadata(Some(Box::try_new_in(parts, allocator).map_err(|_| LoadError::NoMemory)?)))
    }
}

impl<A: Allocator> Metadata<A> {
    /// Returns the options that the module was loaded with.
    pub(crate) fn options(&self) -> LoadOptions {
        self.0.as_ref().map_or_else(LoadOptions::default, |parts| parts.options)
    }

    /// Returns the schema of the module's state; empty if it has none.
    pub(crate) fn schema(&self) -> &[u8] {
        self.part(Part::Schema)
    }

    /// Returns the list of modules that it may call; empty if there are none.
    #[inline]
    pub(crate) fn depends(&self) -> &[u8] {
        if cfg!(feature = "depends") { self.part(Part::Depends) } else { &[] }
    }

    /// Returns the number of modules and imports that it may call.
    #[inline]
    pub(crate) fn dependencies(&self) -> u32 {
        let (depends, imports) = (self.depends(), self.interfaces().map_or(0, |interfaces| interfaces.imports.len()));
        imports as u32 + if depends.is_empty() { 0 } else { Dependencies::new(depends).count() as u32 }
    }

    /// Returns the symbols of its code; empty if they are not known.
    pub(crate) fn symbols(&self) -> &[u8] {
        if cfg!(feature = "symbols") { self.part(Part::Symbols) } else { &[] }
    }

    /// Returns the trap sites of its code; empty if there are none.
    pub(super) fn traps(&self) -> &[u8] {
        self.part(Part::Traps)
    }

    /// Returns the areas of its instance of WebAssembly; empty if it has none.
    #[cfg(feature = "portable")]
    pub(crate) fn carry(&self) -> &[u8] {
        self.part(Part::Carry)
    }

    /// Returns the origin, if an engine made the blob.
    #[cfg(feature = "portable")]
    pub(crate) fn provenance(&self) -> Option<&Provenance> {
        self.0.as_ref()?.provenance.as_ref()
    }

    /// Returns the digest of the blob, if the module is an engine.
    #[cfg(feature = "portable")]
    pub(crate) fn engine_digest(&self) -> Option<Digest> {
        self.0.as_ref()?.engine_digest
    }

    /// Returns the digest of the only bytes that the module may be made of, which are not kept, if what it may do is due to who
    /// made them: it was compiled for the sandbox, or it is an engine.
    #[cfg(all(feature = "portable", feature = "supervision"))]
    pub(crate) fn trusted_digest(&self) -> Option<Digest> {
        let parts = self.0.as_ref()?;
        parts.engine_digest.or(parts.compiled_digest)
    }

    /// Returns the values of its parameters; empty if none was set.
    #[cfg(feature = "parameters")]
    pub(crate) fn values(&self) -> &[u8] {
        self.part(Part::Values)
    }

    /// Returns the lines that set its parameters and bind its imports.
    #[cfg(feature = "parameters")]
    pub(crate) fn lines(&self) -> &str {
        // They were text when they were copied.
        core::str::from_utf8(self.part(Part::Lines)).unwrap_or_default()
    }

    /// Returns the record of its imports and exports; empty if there are none.
    #[inline]
    pub(crate) fn bindings(&self) -> Entries<'_> {
        Entries::new(self.interfaces().map_or(&[], |interfaces| interfaces.bindings()))
    }

    /// Returns the name by which a module knows another one: the provider's, if it is the name of an import that is bound by
    /// name.
    #[cfg(any(feature = "events", feature = "regions"))]
    pub(crate) fn known_as(&self, name: &str) -> Option<Name> {
        // A lend asks for this, so that what most modules do not use is not searched.
        if !self.interfaces().is_some_and(|interfaces| interfaces.renames) {
            return Name::new(name);
        }
        let import = self.bindings().imports().find(|import| import.name == name);
        Name::new(import.as_ref().and_then(provider_of).unwrap_or(name))
    }

    /// Returns the signatures of its methods; empty if they are not known.
    pub(crate) fn signatures(&self) -> &[u8] {
        self.interfaces().map_or(&[], |interfaces| interfaces.signatures())
    }

    /// Returns its imports and the profiles of its functions.
    #[inline]
    pub(crate) fn interfaces(&self) -> Option<&Interfaces<A>> {
        if cfg!(feature = "interfaces") { self.0.as_ref()?.interfaces.as_deref() } else { None }
    }

    /// Returns the record of its supervision.
    #[cfg(feature = "supervision")]
    #[inline]
    pub(crate) fn supervision(&self) -> Option<&Supervision<A>> {
        self.0.as_ref()?.supervision.as_deref()
    }

    /// Returns whether it may call other modules or imports.
    #[inline]
    pub(crate) fn calls_others(&self) -> bool {
        !self.depends().is_empty() || self.has_imports()
    }

    /// Returns whether it has imports.
    #[inline]
    pub(crate) fn has_imports(&self) -> bool {
        self.interfaces().is_some_and(|interfaces| !interfaces.imports.is_empty())
    }

    /// Returns the blob that the module is restarted from; empty if it is never restarted.
    pub(crate) fn blob(&self) -> &[u8] {
        self.part(Part::Blob)
    }

    /// Returns whether a module that replaces this one takes something over: state, or what was set for it.
    pub(crate) fn is_inherited(&self) -> bool {
        !self.schema().is_empty() || !self.part(Part::Lines).is_empty()
    }

    /// Returns whether anything is kept.
    #[inline(always)]
    pub(crate) const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Returns no metadata.
    #[inline(always)]
    pub(crate) const fn none() -> Metadata<A> {
        Metadata(None)
    }

    /// Returns a part.
    #[inline]
    fn part(&self, part: Part) -> &[u8] {
        let Some(parts) = &self.0 else { return &[] };
        let (part, ends) = (part as usize, &parts.ends);
        let start = if part == 0 { 0 } else { ends[part - 1] };
        parts.bytes.get(start as usize..ends[part] as usize).unwrap_or_default()
    }

    /// Returns the memory that the metadata uses, with the regions that the module owns.
    #[inline(always)]
    pub(crate) fn usage(&self) -> Usage {
        self.0.as_ref().map_or(Usage::default(), |parts| parts.usage())
    }
}

impl<A: Allocator> MetadataParts<A> {
    // Out of line, since most modules have none, and each unload asks.
    #[inline(never)]
    fn usage(&self) -> Usage {
        let interfaces = self.interfaces.as_ref().map_or(Usage::default(), |interfaces| interfaces.usage());
        let table_bytes = (size_of::<MetadataParts<A>>() + self.bytes.len()) as u64 + interfaces.table_bytes;
        #[cfg(feature = "supervision")]
        let table_bytes = table_bytes + self.supervision.as_ref().map_or(0, |supervision| supervision.table_bytes());
        Usage { table_bytes, ..interfaces }
    }
}
