//! A door that can be closed once everybody has left.

use std::cell::RefCell;
use std::rc::Rc;

use super::notify::Notify;

#[derive(Default)]
struct State {
    inside: RefCell<(usize, bool)>,
    left: Notify,
}

/// Counts who is inside. Cloning gives another handle to the same gate.
#[derive(Clone, Default)]
pub struct Gate {
    state: Rc<State>,
}

/// Proof of being inside; dropping it is leaving.
pub struct Pass {
    state: Rc<State>,
}

impl Gate {
    /// An open gate with nobody inside.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes in; None once the gate is closing.
    pub fn enter(&self) -> Option<Pass> {
        let mut inside = self.state.inside.borrow_mut();
        if inside.1 {
            return None;
        }
        inside.0 += 1;
        Some(Pass { state: self.state.clone() })
    }

    /// Lets nobody in any more and waits until everybody has left.
    pub async fn close(&self) {
        self.state.inside.borrow_mut().1 = true;
        loop {
            let left = self.state.left.notified();
            if self.inside() == 0 {
                return;
            }
            left.await;
        }
    }

    /// How many are inside.
    pub fn inside(&self) -> usize {
        self.state.inside.borrow().0
    }

    /// The gate lets nobody in any more.
    pub fn is_closed(&self) -> bool {
        self.state.inside.borrow().1
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let last = {
            let mut inside = self.state.inside.borrow_mut();
            inside.0 -= 1;
            inside.0 == 0
        };
        if last {
            self.state.left.notify_all();
        }
    }
}
