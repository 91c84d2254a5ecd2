//! A position's place in the tree of a tile.

use geopush_geometry::Position;

use super::area::Area;
use super::node::Node;

/// A position, and the way to it from a tree's root, as far as that was gone. The tree is whoever asks to bring: always
/// the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub position: Position,
    /// The box at the way's end, in the turn of the globe in which the position is in it.
    pub area: Area,
    way: Way,
}

/// The numbers of the parts that lead there, four bits each, the first one lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    numbers: u32,
    depth: u32,
}

const _: () = assert!(Area::PARTS <= 1 << Way::BITS && Node::MAX_DEPTH as u32 * Way::BITS <= u32::BITS);

impl Way {
    const BITS: u32 = 4;

    fn with(self, number: usize) -> Self {
        let Self { numbers, depth } = self;
        Self { numbers: numbers | (number as u32) << (depth * Self::BITS), depth: depth + 1 }
    }

    fn number(self, depth: u32) -> usize {
        (self.numbers >> (depth * Self::BITS)) as usize % (1 << Self::BITS)
    }
}

impl Spot {
    /// At the root, whose box is `area`.
    pub fn new(position: Position, area: Area) -> Self {
        Self { position, area, way: Way::default() }
    }

    /// Goes on to the part of the box that the position is in; `false` where there are no smaller ones.
    pub fn step(&mut self, root: &Node) -> bool {
        let is_cut = self.node(root).parts.is_some();
        if is_cut {
            let number = self.area.part_at(self.position);
            self.area = self.area.part(number);
            self.way = self.way.with(number);
        }
        is_cut
    }

    /// From the root to the way's end.
    pub fn nodes<'n>(&self, root: &'n Node) -> impl Iterator<Item = &'n Node> + use<'n> {
        let (way, mut depth) = (self.way, 0);
        std::iter::successors(Some(root), move |node| {
            let parts = node.parts.as_ref().filter(|_| depth < way.depth)?;
            depth += 1;
            Some(&*parts[way.number(depth - 1)])
        })
    }

    /// At the way's end.
    pub fn node<'n>(&self, root: &'n Node) -> &'n Node {
        let mut node = root;
        for depth in 0..self.way.depth {
            let parts = node.parts.as_ref().expect("a way leads through nodes that are cut");
            node = &parts[self.way.number(depth)];
        }
        node
    }
}
