//! One conversation over TCP (RFC 7766): messages behind their length, many in flight, answered in order.
//!
//! A [`Talk`] is given turns. In a turn it reads once, answers everything whole, writes once, and says what it waits for
//! ([`Next`]). A turn is bounded by its [`Buffers`], so that one long pipeline cannot keep a thread for itself. While an
//! answer finds no room in the stream nothing more is read: who does not listen is not heard. An idle conversation holds
//! no buffers.
//!
//! Knows neither sockets (any stream that says `WouldBlock` will do), nor other conversations, nor a clock: it is told the
//! time, and says until when it wants to live. Who watches streams and deadlines is `tcp`.

use super::desk::{Desk, Engine};
use crate::answer::Client;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// One connection.
#[derive(Debug)]
pub struct Talk<S> {
    stream: S,
    /// Who asks, as the engine wants to know it.
    client: Client,
    /// How long it may go without a whole query; also how long answers may wait for room in the stream.
    idle: Duration,
    /// When it is over unless something happens: a whole query, or room for the answers that wait.
    deadline: Instant,
    /// What was read and not answered yet: usually nothing, or the beginning of a message.
    inbox: Vec<u8>,
    /// Answers that the stream had no room for.
    outbox: Vec<u8>,
    /// Whether it ever brought a whole message.
    has_asked: bool,
    /// Whether the peer has shut down its side; what it said before may still be unread.
    has_peer_ended: bool,
    /// Whether we have ended our side, and only wait for the peer to end its own.
    is_leaving: bool,
}

/// What a conversation waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Another turn, after others had theirs: there is more to do, or may be.
    Turn,
    /// Something to read.
    Read,
    /// Room to write.
    Write,
    /// That its side of the stream is shut down, and [`Talk::leave`] called: all is said, but may still be on its way.
    Leave,
    /// Nothing; it is over.
    Close,
}

/// Room to read and to answer in, for all conversations of one thread; holds nothing between turns.
#[derive(Debug)]
pub struct Buffers {
    /// What is left from before, and what one read brings behind it.
    input: Box<[u8]>,
    /// Answers, each behind its length, to be written.
    output: Box<[u8]>,
}

/// The largest message of a stream: two octets of length, and what they can say (RFC 1035 section 4.2.2).
const FRAME_MAX: usize = 2 + 65_535;

/// What one read takes: some hundred small queries, answered within a fraction of a millisecond.
const READ_MAX: usize = 16 * 1024;

/// Room for small answers up to 64 KiB, and still for the largest one behind them.
const OUTPUT: usize = 2 * FRAME_MAX;

/// A round trip around the world and a lost packet; who needs longer has been answered long ago.
const FAREWELL: Duration = Duration::from_secs(1);

impl Default for Buffers {
    fn default() -> Buffers {
        // More is read only behind a message that is not whole.
        Buffers { input: vec![0; FRAME_MAX + READ_MAX].into(), output: vec![0; OUTPUT].into() }
    }
}

impl<S> Talk<S> {
    /// A conversation that begins now.
    pub fn new(stream: S, client: Client, idle: Duration, now: Instant) -> Talk<S> {
        let deadline = now + idle;
        let (inbox, outbox) = (Vec::new(), Vec::new());
        Talk { stream, client, idle, deadline, inbox, outbox, has_asked: false, has_peer_ended: false, is_leaving: false }
    }

    /// What it is held over.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// When it is to be given up. Moves away with what happens in turns, and comes nearer only by [`Talk::leave`].
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the peer's first query is still to come.
    pub fn is_awaited(&self) -> bool {
        !self.has_asked && !self.is_leaving
    }

    /// Whether [`Talk::leave`] was called.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Takes note that the peer has shut down its side: behind what can be read now there is nothing but the end.
    pub fn hear_end(&mut self) {
        self.has_peer_ended = true;
    }

    /// Ends the conversation so that the answers on their way arrive.
    ///
    /// Closing a socket while octets of the peer are unread makes the kernel reset the connection, and a reset destroys
    /// what the peer has not read yet. So our side is shut down, and we listen until the peer's is too, or a second is over.
    pub fn leave(&mut self, now: Instant) {
        self.is_leaving = true;
        self.deadline = now + FAREWELL;
        self.inbox = Vec::new();
    }
}

impl<S: Read + Write> Talk<S> {
    /// One turn. `at_once`: only what has arrived by now is answered, and nothing awaited.
    pub fn turn<E: Engine>(&mut self, desk: &mut Desk<E>, buffers: &mut Buffers, now: Instant, at_once: bool) -> Next {
        let next = if self.is_leaving { self.ignore(&mut buffers.input) } else { self.converse(desk, buffers, now, at_once) };
        // A stream that fails has no peer any more.
        next.unwrap_or(Next::Close)
    }

    fn converse<E: Engine>(&mut self, desk: &mut Desk<E>, buffers: &mut Buffers, now: Instant, at_once: bool) -> io::Result<Next> {
        if !self.flush(now)? {
            return Ok(Next::Write);
        }
        let Buffers { input, output } = buffers;
        let (arrived, may_be_more) = match self.read(input)? {
            Arrival::Nothing if at_once => return Ok(Next::Leave),
            Arrival::Nothing => return Ok(Next::Read),
            Arrival::End => return Ok(Next::Close),
            Arrival::Octets { arrived, filled } => (arrived, filled || self.has_peer_ended || at_once),
        };
        let done = answer(desk, &self.client, arrived, output);
        if done.messages > 0 {
            self.has_asked = true;
            self.deadline = now + self.idle;
        }
        self.inbox = arrived[done.read..].to_vec();
        let answers = &output[..done.written];
        let sent = write_some(&mut self.stream, answers)?;
        self.outbox.extend_from_slice(&answers[sent..]);
        Ok(next(done.rest, may_be_more, !self.outbox.is_empty()))
    }

    /// Writes what the last turn could not. Says whether all of it is gone.
    fn flush(&mut self, now: Instant) -> io::Result<bool> {
        if self.outbox.is_empty() {
            return Ok(true);
        }
        let sent = write_some(&mut self.stream, &self.outbox)?;
        if sent < self.outbox.len() {
            self.outbox.drain(..sent);
            return Ok(false);
        }
        self.outbox = Vec::new();
        // Until now the peer could ask what it liked and was not heard.
        self.deadline = now + self.idle;
        Ok(true)
    }

    /// Brings what is left from before to the front of `input`, and what can be read behind it, unless it goes on with a
    /// whole message.
    fn read<'a>(&mut self, input: &'a mut [u8]) -> io::Result<Arrival<'a>> {
        let kept = self.inbox.len();
        input[..kept].copy_from_slice(&self.inbox);
        if next_message(&self.inbox) != Err(Rest::Partial) {
            return Ok(Arrival::Octets { arrived: &input[..kept], filled: true });
        }
        Ok(match read_some(&mut self.stream, &mut input[kept..kept + READ_MAX])? {
            None => Arrival::Nothing,
            Some(0) => Arrival::End,
            Some(len) => Arrival::Octets { arrived: &input[..kept + len], filled: len == READ_MAX },
        })
    }

    /// Lets the peer say what it likes, until it ends.
    fn ignore(&mut self, input: &mut [u8]) -> io::Result<Next> {
        Ok(match read_some(&mut self.stream, &mut input[..READ_MAX])? {
            None => Next::Read,
            Some(0) => Next::Close,
            Some(_) => Next::Turn,
        })
    }
}

/// What a read has brought.
enum Arrival<'a> {
    /// Nothing for now.
    Nothing,
    /// The peer's end. The beginning of a message before it is of no use.
    End,
    /// Something that was not answered yet.
    Octets {
        /// All of it, what is left from before included.
        arrived: &'a [u8],
        /// Whether there was no room for more.
        filled: bool,
    },
}

fn read_some(stream: &mut impl Read, room: &mut [u8]) -> io::Result<Option<usize>> {
    match stream.read(room) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}

/// Writes what the stream takes right now.
fn write_some(stream: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match stream.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

//--- Framing

/// What is left when no more can be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// Nothing, or not all of a message.
    Partial,
    /// Whole messages; the output buffer was full.
    Whole,
    /// A message without a single octet: this is no DNS.
    Malformed,
}

/// What became of the octets of one turn.
#[derive(Debug)]
struct Answered {
    /// Whole messages.
    messages: usize,
    /// Octets of them, lengths included.
    read: usize,
    /// Octets of answers, lengths included.
    written: usize,
    /// What follows the messages.
    rest: Rest,
}

/// Answers the whole messages of `arrived`, as far as there is room in `output`.
fn answer<E: Engine>(desk: &mut Desk<E>, client: &Client, arrived: &[u8], output: &mut [u8]) -> Answered {
    let (mut messages, mut read, mut written) = (0, 0, 0);
    let rest = loop {
        let query = match next_message(&arrived[read..]) {
            Ok(query) => query,
            Err(rest) => break rest,
        };
        if output.len() - written < FRAME_MAX {
            break Rest::Whole;
        }
        let (length, room) = output[written..written + FRAME_MAX].split_at_mut(2);
        if let Some(len) = desk.answer(client, query, room) {
            length.copy_from_slice(&u16::try_from(len).expect("the room is 65,535 octets").to_be_bytes());
            written += 2 + len;
        }
        messages += 1;
        read += 2 + query.len();
    };
    Answered { messages, read, written, rest }
}

/// The first message, without its length; or why there is none.
fn next_message(bytes: &[u8]) -> Result<&[u8], Rest> {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Err(Rest::Partial) };
    match usize::from(u16::from_be_bytes(*length)) {
        0 => Err(Rest::Malformed),
        len => rest.get(..len).ok_or(Rest::Partial),
    }
}

/// What to wait for after a turn.
fn next(rest: Rest, may_be_more_to_read: bool, answers_wait: bool) -> Next {
    match rest {
        _ if answers_wait => Next::Write,
        Rest::Malformed => Next::Leave,
        Rest::Whole => Next::Turn,
        Rest::Partial if may_be_more_to_read => Next::Turn,
        Rest::Partial => Next::Read,
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::CounterBoard;
    use super::super::desk::fake::{Echo, LONG};
    use super::*;
    use crate::answer::Transport;
    use std::collections::VecDeque;
    use std::net::Ipv4Addr;

    const IDLE: Duration = Duration::from_secs(10);

    /// The other end of a talk: what each read brings, and how much fits.
    struct Wire {
        /// `None`: the end. When nothing is left, a read has to wait.
        reads: VecDeque<Option<Vec<u8>>>,
        /// Octets that can be written before a write has to wait.
        room: usize,
        written: Vec<u8>,
    }

    impl Read for Wire {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let Some(read) = self.reads.pop_front() else { return Err(io::ErrorKind::WouldBlock.into()) };
            let Some(mut bytes) = read else { return Ok(0) };
            let len = bytes.len().min(room.len());
            room[..len].copy_from_slice(&bytes[..len]);
            if len < bytes.len() {
                self.reads.push_front(Some(bytes.split_off(len)));
            }
            Ok(len)
        }
    }

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.room);
            if len == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= len;
            self.written.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A talk with its surroundings; time stands at `now`.
    struct Scene {
        talk: Talk<Wire>,
        desk: Desk<Echo>,
        buffers: Buffers,
        now: Instant,
        at_once: bool,
    }

    fn scene(reads: impl IntoIterator<Item = Option<Vec<u8>>>) -> Scene {
        let wire = Wire { reads: reads.into_iter().collect(), room: usize::MAX, written: Vec::new() };
        let client = Client { source: Ipv4Addr::LOCALHOST.into(), transport: Transport::Tcp };
        let desk = Desk::new(Echo::default(), CounterBoard::new().hand_out(Transport::Tcp));
        let now = Instant::now();
        Scene { talk: Talk::new(wire, client, IDLE, now), desk, buffers: Buffers::default(), now, at_once: false }
    }

    impl Scene {
        fn turn(&mut self) -> Next {
            self.talk.turn(&mut self.desk, &mut self.buffers, self.now, self.at_once)
        }

        /// Turns until something has to happen.
        fn turns(&mut self) -> Next {
            std::iter::repeat_with(|| self.turn()).find(|next| *next != Next::Turn).expect("an endless iterator")
        }

        fn answers(&self) -> usize {
            let (mut count, mut bytes) = (0, &self.talk.stream.written[..]);
            while let Ok(message) = next_message(bytes) {
                (count, bytes) = (count + 1, &bytes[2 + message.len()..]);
            }
            assert!(bytes.is_empty(), "an answer is not whole");
            count
        }

        fn holds(&self) -> usize {
            self.talk.inbox.capacity() + self.talk.outbox.capacity()
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&u16::try_from(message.len()).expect("a short message").to_be_bytes(), message].concat()
    }

    fn pipeline(message: &[u8], count: usize) -> Vec<u8> {
        framed(message).repeat(count)
    }

    const QUERY: &[u8] = b"twelve octets";

    #[test]
    fn lengths_are_read_at_both_sides_of_every_limit() {
        assert_eq!(next_message(&[]), Err(Rest::Partial));
        assert_eq!(next_message(&[0]), Err(Rest::Partial));
        assert_eq!(next_message(&[0, 0, 1]), Err(Rest::Malformed));
        assert_eq!(next_message(&[0, 1]), Err(Rest::Partial));
        assert_eq!(next_message(&[0, 1, 9, 8]), Ok(&[9][..]));
        assert_eq!(next_message(&[0, 2, 9]), Err(Rest::Partial));
    }

    #[test]
    fn one_turn_reads_once_and_an_idle_talk_holds_no_memory() {
        let mut scene = scene([Some(pipeline(QUERY, 3)), Some(pipeline(QUERY, 1))]);
        assert_eq!((scene.turn(), scene.answers(), scene.holds()), (Next::Read, 3, 0));
        assert_eq!((scene.turn(), scene.answers(), scene.holds()), (Next::Read, 4, 0));
        assert_eq!(scene.turn(), Next::Read);
    }

    #[test]
    fn a_read_that_filled_its_room_is_followed_by_another_turn_and_a_shorter_one_is_not() {
        for (len, expected) in [(READ_MAX - 1, Next::Read), (READ_MAX, Next::Turn)] {
            assert_eq!(scene([Some(framed(&vec![b'x'; len - 2]))]).turn(), expected, "{len}");
        }
    }

    #[test]
    fn whatever_the_pieces_all_messages_are_answered() {
        let octets = [pipeline(QUERY, 2), framed(&vec![b'x'; 65_527]), pipeline(QUERY, 2)].concat();
        for piece in [1000, 1461, READ_MAX - 1, READ_MAX, octets.len()] {
            let mut scene = scene(octets.chunks(piece).map(|piece| Some(piece.to_vec())));
            while !scene.talk.stream.reads.is_empty() {
                scene.turns();
            }
            assert_eq!((scene.turns(), scene.answers(), scene.holds()), (Next::Read, 5, 0), "{piece}");
        }
    }

    #[test]
    fn an_end_that_was_announced_is_read_without_another_sign_of_the_stream() {
        let mut scene = scene([Some(pipeline(QUERY, 1)), None]);
        scene.talk.hear_end();
        assert_eq!((scene.turn(), scene.answers()), (Next::Turn, 1));
        assert_eq!(scene.turn(), Next::Close);
    }

    #[test]
    fn a_turn_answers_no_more_than_the_output_holds_and_reads_nothing_before_the_rest_is_answered() {
        let mut scene = scene([Some(pipeline(LONG, 5)), None]);
        for answers in [2, 4] {
            assert_eq!((scene.turn(), scene.answers()), (Next::Turn, answers));
            assert_eq!(scene.talk.stream.reads.len(), 1, "the end is not read yet");
        }
        // The rest was left from before: there may be more to read.
        assert_eq!((scene.turn(), scene.answers(), scene.holds()), (Next::Turn, 5, 0));
        assert_eq!(scene.turn(), Next::Close);
    }

    #[test]
    fn answers_without_room_wait_and_nothing_is_read_meanwhile() {
        let mut scene = scene([Some(pipeline(QUERY, 4)), Some(pipeline(QUERY, 1))]);
        scene.talk.stream.room = 30;
        assert_eq!(scene.turn(), Next::Write);
        assert_eq!((scene.turn(), scene.talk.stream.reads.len()), (Next::Write, 1));
        scene.talk.stream.room = 30;
        assert_eq!((scene.turn(), scene.talk.stream.written.len()), (Next::Write, 60));
        scene.talk.stream.room = usize::MAX;
        assert_eq!((scene.turn(), scene.answers(), scene.holds()), (Next::Read, 5, 0));
    }

    #[test]
    fn a_whole_query_and_room_for_all_answers_move_the_deadline_and_nothing_else_does() {
        let query = pipeline(QUERY, 1);
        let mut scene = scene([Some(query.clone()), Some(query[..1].to_vec()), Some([&query[1..], &query].concat())]);
        let start = scene.now;
        let mut deadline_after_turn_with = |room| {
            scene.now += Duration::from_secs(1);
            scene.talk.stream.room = room;
            scene.turn();
            (scene.talk.deadline() - start).as_secs()
        };
        assert_eq!(deadline_after_turn_with(usize::MAX), 11, "a query in the first second");
        assert_eq!(deadline_after_turn_with(usize::MAX), 11, "the beginning of one in the second");
        assert_eq!(deadline_after_turn_with(30), 13, "two of them, and room for less than their answers");
        assert_eq!(deadline_after_turn_with(1), 13, "some room");
        assert_eq!(deadline_after_turn_with(usize::MAX), 15, "room for all");
    }

    #[test]
    fn an_empty_message_ends_the_talk_once_the_answers_before_it_are_written() {
        let mut scene = scene([Some([pipeline(QUERY, 1), vec![0, 0], pipeline(QUERY, 1)].concat())]);
        scene.talk.stream.room = 5;
        assert_eq!(scene.turn(), Next::Write);
        scene.talk.stream.room = usize::MAX;
        assert_eq!((scene.turn(), scene.answers()), (Next::Leave, 1));
    }

    #[test]
    fn whoever_is_left_may_say_what_it_likes_for_a_second_and_is_not_answered() {
        let mut scene = scene([Some(pipeline(QUERY, 1)), Some(vec![0, 0]), None]);
        scene.talk.leave(scene.now);
        assert_eq!(scene.talk.deadline(), scene.now + FAREWELL);
        assert_eq!((scene.turns(), scene.answers()), (Next::Close, 0));
    }

    #[test]
    fn at_the_end_all_that_has_arrived_is_answered_and_nothing_awaited() {
        let mut scene = scene([Some(pipeline(QUERY, 1)), Some(pipeline(QUERY, 1)), Some(vec![0])]);
        scene.at_once = true;
        assert_eq!((scene.turns(), scene.answers()), (Next::Leave, 2));
    }

    #[test]
    fn a_stream_that_fails_is_closed() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let Scene { mut desk, mut buffers, now, talk, .. } = scene([]);
        let mut broken = Talk::new(Broken, talk.client, IDLE, now);
        for leaving in [false, true] {
            broken.is_leaving = leaving;
            assert_eq!(broken.turn(&mut desk, &mut buffers, now, false), Next::Close);
        }
    }
}
