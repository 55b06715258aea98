//! Turns: so many at once and no more, and whoever has waited longest since its last one is next.
//!
//! First come, first served would not do: where more is asked for than there are turns, and everybody asks at a fixed beat, the same few would come too late
//! every time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who may, and who waits.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Counts turns and those who ask for one, so that no two have one number.
    count: u64,
    /// When somebody had a turn last, by name. Who is not here had none yet.
    last: HashMap<Arc<str>, u64>,
    /// By the last turn, then by when it was asked for.
    waiting: BTreeMap<(u64, u64), (Arc<str>, oneshot::Sender<Turn>)>,
}

/// A turn, which ends with the value.
#[derive(Debug)]
pub struct Turn(Turns);

impl Turns {
    /// So many at once.
    pub fn new(at_once: usize) -> Turns {
        Turns(Arc::new(Mutex::new(State { free: at_once, count: 0, last: HashMap::new(), waiting: BTreeMap::new() })))
    }

    /// Waits for a turn. Who gives up waiting is passed over.
    pub async fn take(&self, name: &Arc<str>) -> Turn {
        let asked = self.lock().ask(name);
        let Some(turn) = asked else { return Turn(self.clone()) };
        turn.await.expect("whoever waits is kept until it has its turn")
    }

    /// Forgets all but these.
    pub fn retain(&self, is_kept: impl Fn(&Arc<str>) -> bool) {
        self.lock().last.retain(|name, _| is_kept(name));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a turn, or queues up for it.
    fn ask(&mut self, name: &Arc<str>) -> Option<oneshot::Receiver<Turn>> {
        self.count += 1;
        if self.free > 0 {
            self.free -= 1;
            self.last.insert(Arc::clone(name), self.count);
            return None;
        }
        let (sender, turn) = oneshot::channel();
        let last = self.last.get(name).copied().unwrap_or_default();
        self.waiting.insert((last, self.count), (Arc::clone(name), sender));
        Some(turn)
    }

    /// Whoever is next; where nobody waits, the turn is free.
    fn pass_on(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some((_, (name, sender))) = self.waiting.pop_first() {
            if !sender.is_closed() {
                self.count += 1;
                self.last.insert(name, self.count);
                return Some(sender);
            }
        }
        self.free += 1;
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.lock().pass_on();
        // Somebody who gives up at this very moment drops the turn as well, and so passes it on.
        if let Some(next) = next {
            let _ = next.send(Turn(self.0.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn whoever_waited_longest_since_its_last_turn_is_next() {
        let turns = Turns::new(1);
        let [early, late, new, holder] = ["early", "late", "new", "holder"].map(Arc::from);
        drop(turns.take(&early).await);
        drop(turns.take(&late).await);
        let held = turns.take(&holder).await;
        let [mut second, mut first, mut unseen] = [&late, &early, &new].map(|name| Box::pin(turns.take(name)));
        for waiting in [&mut second, &mut first] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(held);
        let held = first.as_mut().now_or_never().expect("its last turn was before the other's");
        assert!(second.as_mut().now_or_never().is_none() && unseen.as_mut().now_or_never().is_none());
        drop(held);
        let held = unseen.as_mut().now_or_never().expect("who had none yet is before all others");
        drop(held);
        assert!(second.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_turn_is_not_lost_with_somebody_who_gave_up() {
        let turns = Turns::new(1);
        let [holder, gone, given, next] = ["holder", "gone", "given", "next"].map(Arc::from);
        let held = turns.take(&holder).await;
        let mut waiting = Box::pin(turns.take(&gone));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(waiting);
        let mut waiting = Box::pin(turns.take(&given));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        // It has been given a turn, and never looks.
        drop(waiting);
        assert!(turns.take(&next).now_or_never().is_some());
    }
}
