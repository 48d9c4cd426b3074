//! How a message is laid out: the little that a walk needs to know.

/// A field of a struct.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name, for the error.
    pub name: &'static str,
    /// How it is laid out.
    pub kind: Kind,
    /// First version that has it.
    pub from: i16,
    /// Last version that has it.
    pub to: i16,
    /// First version in which it may be null.
    pub nullable_from: i16,
    /// Its tag, if it travels in the tag section instead of in its place.
    pub tag: Option<u32>,
}

/// The fields of a struct, in the order of the wire. Tags follow by themselves in flexible versions.
pub(super) type Fields = &'static [Field];

/// The layout of a field.
#[derive(Debug)]
pub(super) enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string.
    Text,
    /// An array of structs.
    Structs(Fields),
    /// An array of elements of so many bytes each.
    Numbers(usize),
    /// An array of strings.
    Texts,
}

impl Field {
    /// A field in all versions, never null.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, from: 0, to: i16::MAX, nullable_from: i16::MAX, tag: None }
    }
    /// The first version that has it.
    pub const fn from(self, from: i16) -> Self {
        Self { from, ..self }
    }
    /// The last version that has it.
    pub const fn to(self, to: i16) -> Self {
        Self { to, ..self }
    }
    /// Null from this version on.
    pub const fn nullable(self, nullable_from: i16) -> Self {
        Self { nullable_from, ..self }
    }
    /// Travels in the tag section.
    pub const fn tag(self, tag: u32) -> Self {
        Self { tag: Some(tag), ..self }
    }
    /// Whether `version` has it.
    pub const fn is_in(&self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }
}

/// A boolean or `i8`.
pub(super) const fn int8(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(1))
}
/// An `i16`.
pub(super) const fn int16(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(2))
}
/// An `i32`.
pub(super) const fn int32(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(4))
}
/// An `i64`.
pub(super) const fn int64(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(8))
}
/// A UUID.
pub(super) const fn uuid(name: &'static str) -> Field {
    Field::new(name, Kind::Fixed(16))
}
/// A string.
pub(super) const fn text(name: &'static str) -> Field {
    Field::new(name, Kind::Text)
}
/// An array of structs.
pub(super) const fn structs(name: &'static str, fields: Fields) -> Field {
    Field::new(name, Kind::Structs(fields))
}
/// An array of `i32`.
pub(super) const fn int32s(name: &'static str) -> Field {
    Field::new(name, Kind::Numbers(4))
}
/// An array of strings.
pub(super) const fn texts(name: &'static str) -> Field {
    Field::new(name, Kind::Texts)
}

/// The least a struct takes in a version: what bounds the count of an array of them.
pub(super) fn struct_bytes_min(fields: Fields, version: i16, flexible: bool) -> usize {
    let present = fields.iter().filter(|field| field.is_in(version) && field.tag.is_none());
    present.map(|field| field.bytes_min(flexible)).sum::<usize>() + usize::from(flexible)
}

impl Field {
    fn bytes_min(&self, flexible: bool) -> usize {
        match self.kind {
            Kind::Fixed(bytes) => bytes,
            Kind::Text => text_bytes_min(flexible),
            Kind::Structs(_) | Kind::Numbers(_) | Kind::Texts => {
                if flexible {
                    1
                } else {
                    4
                }
            }
        }
    }
}

/// The least a string takes.
pub(super) const fn text_bytes_min(flexible: bool) -> usize {
    if flexible { 1 } else { 2 }
}
