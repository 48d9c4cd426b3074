//! Takes values off the front of a fuzzer's bytes. Never fails: when they are used up, everything is zero.

/// The bytes not used yet.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    /// Whether everything is used up.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    /// Whether the next byte is odd.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is at least 1 and at most 65,536.
    pub fn below(&mut self, bound: usize) -> usize {
        let raw = if bound <= 256 { usize::from(self.byte()) } else { usize::from(self.u16()) };
        raw % bound
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number that is often an odd one: near zero, near the ends of its range, or anything.
    pub fn i64(&mut self) -> i64 {
        match self.byte() {
            near @ 0..=199 => i64::from(near) - 4,
            200 => i64::MAX,
            201 => i64::MIN,
            202 => i64::from(i32::MAX),
            203 => i64::from(u32::MAX) + 1,
            204 => i64::MAX - i64::from(self.byte()),
            205 => i64::MIN + i64::from(self.byte()),
            _ => self.u64() as i64,
        }
    }

    /// Like [`Input::i64`].
    pub fn i32(&mut self) -> i32 {
        match self.byte() {
            near @ 0..=199 => i32::from(near) - 4,
            200 => i32::MAX,
            201 => i32::MIN,
            _ => self.u32() as i32,
        }
    }

    /// So many bytes, the last of them zero when there are not enough.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    /// At most `max` bytes (and at most 255), as many as the next byte says and there are.
    pub fn bytes(&mut self, max: usize) -> &'a [u8] {
        let len = usize::from(self.byte()) % (max + 1).min(256);
        self.take(len)
    }

    /// [`Input::bytes`] read as text.
    pub fn text(&mut self, max: usize) -> String {
        String::from_utf8_lossy(self.bytes(max)).into_owned()
    }

    /// Something, or nothing.
    pub fn option<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| some(self))
    }

    /// At most `max` items.
    pub fn list<T>(&mut self, max: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(max + 1);
        (0..count).map(|_| item(self)).collect()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}
