//! The allocator, and what it is asked for so that it gives memory back.
//!
//! Promises: what starting took is given back to the system within seconds, also by a gateway that nobody asks
//! for anything.
//!
//! Refuses: giving back at once. Under load the same memory is needed again the next moment.

use std::hint::black_box;
use std::time::Duration;

use mimalloc::MiMalloc;

/// Scans are many small pieces of memory that one thread makes and another lets go.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const EVERY: Duration = Duration::from_secs(2);
/// Too large for what it keeps at hand: it looks after its memory when this is let go.
const LARGE: usize = 64 << 20;

/// It gives back what was not needed for a while, but only when it is asked for something large. Nothing of that
/// is ever touched, so it takes no memory.
pub(crate) fn keep_giving_back() {
    actix_web::rt::spawn(async {
        let mut moments = actix_web::rt::time::interval(EVERY);
        loop {
            moments.tick().await;
            let mut large = Vec::<u8>::new();
            // Where so much is not to be had, there is nothing that could be given back.
            large.try_reserve_exact(LARGE).ok();
            drop(black_box(large));
        }
    });
}
