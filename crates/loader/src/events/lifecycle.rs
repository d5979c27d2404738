//! The events of a module from its load to its end.

use core::sync::atomic::Ordering;

use bareflow_abi::events::Events;

use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::interfaces::{Interfaces, SlotNumber};
use crate::module::lifecycle::ModuleState;
use crate::module::metadata::Metadata;
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::Platform;
use crate::registry::events::{EventTable, NEVER};

impl<P: Platform> ModuleManager<P> {
    /// Makes the slot for the events of a module that is being loaded, if it declares any.
    ///
    /// # Errors
    /// The platform has no time, or there is no memory.
    pub(crate) fn add_events(&self, id: ModuleId, module: &Module<P>) -> Result<(), LoadError> {
        let Some(interfaces) = module.metadata.interfaces() else { return Ok(()) };
        if interfaces.events_record().is_empty() {
            return Ok(());
        }
        if self.platform.microseconds().is_none() {
            return Err(LoadError::NoTime);
        }
        let allocator = self.platform.allocator();
        let mut events = self.events.borrow_mut();
        let table = events.get_or_insert_with(|| EventTable::new(allocator.clone()));
        let known_as = |source: &str| module.metadata.known_as(source);
        let slot = table.add(id, module.name, Events::new(interfaces.events_record()), &known_as, &allocator);
        let slot = slot.ok_or(LoadError::NoMemory)?;
        interfaces.events.set(Some(slot));
        interfaces.event_bytes.set(table.slot(slot).map_or(0, |slot| slot.table_bytes()));
        Ok(())
    }

    /// Starts the events of a module that can be found from now on. It goes on with those of the module `before`.
    pub(crate) fn start_events(&self, id: ModuleId, before: Option<ModuleId>) {
        let slot_of = |id: ModuleId| slot_of(&*self.get(id)?);
        if let Some(slot) = slot_of(id) {
            let before = before.and_then(slot_of);
            let now_us = self.platform.microseconds().unwrap_or_default();
            self.with_events(|table| table.start(slot, now_us, before));
        } else if let Some(before) = before.and_then(slot_of) {
            self.with_events(|table| table.end(before));
        }
    }

    /// Forgets the events of a module that is initialised anew.
    pub(crate) fn reset_events(&self, module: &Module<P>) {
        if let Some(slot) = slot_of(module) {
            self.with_events(|table| table.reset(slot));
        }
    }

    /// Lets the events of a module that is stopped wait.
    pub(crate) fn stop_events(&self, module: &Module<P>) {
        if let Some(slot) = slot_of(module) {
            self.with_events(|table| table.stop(slot));
        }
    }

    /// Starts the events that a module declares again, after it could not be initialised anew: those of one that is stopped
    /// wait.
    pub(crate) fn restore_events(&self, module: &Module<P>) {
        let Some(slot) = slot_of(module) else { return };
        let now_us = self.platform.microseconds().unwrap_or_default();
        self.with_events(|table| {
            table.reset(slot);
            table.start(slot, now_us, None);
            if module.lifecycle.state() == ModuleState::Stopped {
                table.stop(slot);
            }
        });
    }

    /// Removes the events of a module that ends.
    pub(crate) fn remove_events(&self, metadata: &Metadata<P::Alloc>) {
        if let Some(slot) = metadata.interfaces().and_then(|interfaces| interfaces.events.take()) {
            self.with_events(|table| table.remove(slot));
        }
    }

    /// Publishes a notification in the embedder's name, such as `kernel`, to all modules that subscribe to it.
    ///
    /// What is no [`Name`] has no subscribers. Subscribers are called when the embedder next [runs events](Self::run_events).
    pub fn notify(&self, embedder: &str, notification: &str) {
        if let Some(embedder) = Name::new(embedder) {
            self.notify_for(&embedder, notification);
        }
    }

    /// Publishes a notification in the name of a module.
    pub(crate) fn notify_for(&self, module: &Name, notification: &str) {
        if let Some(notification) = Name::new(notification) {
            self.with_events(|table| table.publish(*module, notification));
        }
    }

    /// Makes an event of a module due, known by its number.
    #[cfg(feature = "devices")]
    pub(crate) fn make_event_due(&self, id: ModuleId, event: u8) {
        if let Some(slot) = self.get(id).and_then(|module| slot_of(&module)) {
            self.with_events(|table| table.change(slot, |slot| slot.pending |= 1 << event));
        }
    }

    /// Passes the table to `look`, which calls no module. There is one once a module with events was loaded.
    pub(super) fn with_events<T>(&self, look: impl FnOnce(&mut EventTable<P::Alloc>) -> T) -> Option<T> {
        let mut table = self.events.borrow_mut();
        let table = table.as_mut()?;
        let seen = look(table);
        let next = if table.ready_count() > 0 { Some(0) } else { table.next_due_us() };
        self.next_event_us.store(next.unwrap_or(NEVER), Ordering::Relaxed);
        Some(seen)
    }

    /// Passes the table to `look`, with the number of the slot of the module that has these interfaces.
    pub(super) fn with_events_of<T>(
        &self,
        interfaces: &Interfaces<P::Alloc>,
        look: impl FnOnce(&mut EventTable<P::Alloc>, SlotNumber) -> T,
    ) -> Option<T> {
        let slot = interfaces.events.get()?;
        self.with_events(|table| look(table, slot))
    }
}

/// Returns the number of the slot with a module's events.
fn slot_of<P: Platform>(module: &Module<P>) -> Option<SlotNumber> {
    module.metadata.interfaces()?.events.get()
}
