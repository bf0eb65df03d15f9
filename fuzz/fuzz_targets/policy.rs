#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    failoverd_fuzz::policy(data);
});
