//! The budgets of the images that a platform has loaded, shared between it and the watchdog.
//!
//! If another image already has the same budget, a new image only increments a counter.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{NEWS, list, watch};
use crate::signal_mask::all_blocked;

/// A budget, and the number of images with it.
#[derive(Debug)]
pub(super) struct Budget {
    pub time_us: u32,
    /// Changed only by the platform.
    images: AtomicUsize,
}

impl Budget {
    /// Whether any image has this budget.
    pub fn is_used(&self) -> bool {
        self.images.load(Ordering::Relaxed) > 0
    }
}

/// The budgets of a platform's images.
#[derive(Debug, Default)]
pub(crate) struct Expected(RefCell<Vec<Arc<Budget>>>);

/// The number of budgets that are kept in any case, used or not.
const KEPT: usize = 8;

impl Expected {
    /// Adds an image's budget.
    ///
    /// # Errors
    /// When the system does not let the watchdog's thread start.
    pub fn expect(&self, time_us: u32) -> io::Result<()> {
        let mut budgets = self.0.borrow_mut();
        let index = budgets.iter().position(|budget| budget.time_us == time_us).unwrap_or_else(|| {
            if budgets.len() >= KEPT {
                budgets.retain(|budget| budget.is_used());
            }
            budgets.push(Arc::new(Budget { time_us, images: AtomicUsize::new(0) }));
            budgets.len() - 1
        });
        let budget = &budgets[index];
        let images = budget.images.load(Ordering::Relaxed);
        budget.images.store(images + 1, Ordering::Relaxed);
        if images > 0 {
            return Ok(());
        }
        // The watchdog may have dropped the budget since it was last used.
        announce(budget).inspect_err(|_| budget.images.store(0, Ordering::Relaxed))
    }

    /// Removes the budget of an image that is gone.
    pub fn forget(&self, time_us: u32) {
        if let Some(budget) = self.0.borrow().iter().find(|budget| budget.time_us == time_us) {
            let images = budget.images.load(Ordering::Relaxed);
            budget.images.store(images.saturating_sub(1), Ordering::Relaxed);
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        // Some images may not have been released.
        self.0.get_mut().iter().for_each(|budget| budget.images.store(0, Ordering::Relaxed));
    }
}

/// Adds a budget to the watchdog's list, if it is not in it.
fn announce(budget: &Arc<Budget>) -> io::Result<()> {
    let mut list = list();
    if !list.runs {
        let thread = std::thread::Builder::new().name("bareflow-watchdog".to_owned());
        all_blocked(|| thread.spawn(watch))?;
        list.runs = true;
    }
    if !list.budgets.iter().any(|(known, _)| Arc::ptr_eq(known, budget)) {
        list.budgets.push((Arc::clone(budget), 0));
        NEWS.notify_one();
    }
    Ok(())
}
