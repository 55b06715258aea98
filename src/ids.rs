//! Typed indexes. An id belongs to the snapshot that gave it and never outlives it; across reloads things are
//! known by name or identity.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// An index with a type of its own.
pub trait Id: Copy {
    /// The id of the thing at `index`.
    fn new(index: usize) -> Self;
    /// The index of the thing with this id.
    fn index(self) -> usize;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(u32);

        impl Id for $name {
            fn new(index: usize) -> Self {
                $name(u32::try_from(index).expect("the compiler of the config refuses more than 2^32 of anything"))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }
    )+};
}

ids! {
    /// A zone that this server is authoritative for.
    ZoneId,
    /// A pool of members.
    PoolId,
    /// A node of the policy graph: a policy, or a pool as the graph sees it.
    NodeId,
    /// What a steered RRset points at: the node that decides, with its last-resort rules.
    SteerId,
    /// One check of one address, shared by everybody who wants it.
    TargetId,
    /// A site: a place where members stand.
    SiteId,
    /// A compiled table of client places.
    GeoTableId,
}

/// A vector that only the right kind of id can index.
#[derive(Clone, Debug)]
pub struct Table<I, T> {
    rows: Vec<T>,
    ids: PhantomData<I>,
}

impl<I, T> Default for Table<I, T> {
    fn default() -> Self {
        Table { rows: Vec::new(), ids: PhantomData }
    }
}

impl<I: Id, T> Table<I, T> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a row and returns its id.
    pub fn push(&mut self, row: T) -> I {
        let id = I::new(self.rows.len());
        self.rows.push(row);
        id
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All rows, in order.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// All rows, in order, without the table.
    pub fn into_rows(self) -> Vec<T> {
        self.rows
    }

    /// All rows with their ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.rows.iter().enumerate().map(|(index, row)| (I::new(index), row))
    }
}

impl<I: Id, T> FromIterator<T> for Table<I, T> {
    fn from_iter<R: IntoIterator<Item = T>>(rows: R) -> Self {
        Table { rows: rows.into_iter().collect(), ids: PhantomData }
    }
}

impl<I: Id, T> Index<I> for Table<I, T> {
    type Output = T;
    fn index(&self, id: I) -> &T {
        &self.rows[id.index()]
    }
}

impl<I: Id, T> IndexMut<I> for Table<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.rows[id.index()]
    }
}
