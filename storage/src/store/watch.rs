//! Waiting for a log to move: long polls hang one bell on many logs and are woken once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use engine::sync::Notify;

use crate::store::cell::LogCell;

/// A bell that logs ring when their visible end or their start moves. One bell may hang on many logs; however often
/// they ring before the waiter runs, it wakes once.
#[derive(Clone, Default)]
pub struct Bell(Rc<BellState>);

#[derive(Default)]
struct BellState {
    rung: Cell<bool>,
    notify: Notify,
}

impl Bell {
    /// A silent bell.
    pub fn new() -> Bell {
        Bell::default()
    }

    /// Rings.
    pub fn ring(&self) {
        if !self.0.rung.replace(true) {
            self.0.notify.notify_all();
        }
    }

    /// Whether it rang since it was last heard.
    pub fn is_rung(&self) -> bool {
        self.0.rung.get()
    }

    /// Ends when the bell has rung since it was last heard, and makes it silent again.
    pub async fn rung(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.0.rung.replace(false) {
                return;
            }
            notified.await;
        }
    }
}

/// The bells that hang on one log. Empty for almost all logs at any moment, so that it is only a pointer then.
#[derive(Default)]
pub(crate) struct Bells(RefCell<Vec<Bell>>);

impl Bells {
    pub(crate) fn ring(&self) {
        for bell in self.0.borrow().iter() {
            bell.ring();
        }
    }

    fn hang(&self, bell: &Bell) {
        self.0.borrow_mut().push(bell.clone());
    }

    fn take_down(&self, bell: &Bell) {
        let mut bells = self.0.borrow_mut();
        if let Some(at) = bells.iter().position(|hung| Rc::ptr_eq(&hung.0, &bell.0)) {
            bells.swap_remove(at);
        }
        if bells.is_empty() {
            *bells = Vec::new();
        }
    }
}

/// A bell on one log, taken down when this is dropped.
pub struct Watch {
    cell: Rc<LogCell>,
    bell: Bell,
}

impl Watch {
    pub(crate) fn new(cell: Rc<LogCell>, bell: Bell) -> Watch {
        cell.bells.hang(&bell);
        Watch { cell, bell }
    }

    /// Ends when the log moved since the watch began or since this ended last. All watches of a bell share its sound.
    pub async fn moved(&self) {
        self.bell.rung().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.cell.bells.take_down(&self.bell);
    }
}
