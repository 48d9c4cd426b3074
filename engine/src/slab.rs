//! A slab whose keys carry a generation, so that a stale key finds nothing.

/// Names one entry of a [`Slab`]; never valid again once that entry is removed (until 2^24 reuses).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Position in the slab.
    pub index: u32,
    /// How often that position had been used before; 24 bits.
    pub generation: u32,
}

const GENERATION_MASK: u32 = (1 << 24) - 1;

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// Values at stable positions, reused last in first out.
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub fn new() -> Self {
        Slab { entries: Vec::new(), free: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn insert(&mut self, value: T) -> Key {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                assert!(self.entries.len() < u32::MAX as usize, "a slab index has 32 bits");
                self.entries.push(Entry { generation: 0, value: None });
                (self.entries.len() - 1) as u32
            }
        };
        let entry = &mut self.entries[index as usize];
        debug_assert!(entry.value.is_none());
        entry.value = Some(value);
        Key { index, generation: entry.generation }
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = (entry.generation + 1) & GENERATION_MASK;
        self.free.push(key.index);
        Some(value)
    }

    /// Keys of all live entries, in position order.
    pub fn keys(&self) -> Vec<Key> {
        let live = self.entries.iter().enumerate().filter(|(_, e)| e.value.is_some());
        live.map(|(i, e)| Key { index: i as u32, generation: e.generation }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_keys_find_nothing() {
        let mut slab = Slab::new();
        let a = slab.insert("a");
        assert_eq!(slab.remove(a), Some("a"));
        let b = slab.insert("b");
        assert_eq!(a.index, b.index);
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.get_mut(b), Some(&mut "b"));
        assert_eq!(slab.len(), 1);
        assert_eq!(slab.keys(), [b]);
    }
}
