//! Gives memory back that nobody uses any more.
//!
//! mimalloc keeps what was freed for the next who asks, and gives it back to the system when somebody asks a while later. A
//! process that has nothing to do after a rush asks for nothing, and would keep all of it: 140 MB after 10,000 connections.
//!
//! This crate has unsafe code, because the bindings of mimalloc are plain functions of C.

/// Gives back to the system what this thread has freed some time ago. Takes some microseconds where there is nothing.
pub fn give_back() {
    // SAFETY: it takes no pointer, and any thread may call it at any time, also one whose memory is another allocator's (mimalloc's
    // documentation of `mi_collect`). False: it does not take what is about to be used again.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_that_is_used_is_given_back() {
        let kept = vec![7_u8; 100_000];
        drop(vec![1_u8; 10_000_000]);
        super::give_back();
        assert!(kept.iter().all(|byte| *byte == 7));
    }
}
