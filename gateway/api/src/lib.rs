//! HTTP and WebSocket for programs and pages: REST, OpenAPI, sign-in, permissions, limits.
//!
//! Promises: every answer that changed something is given after it is on disk and readable; every
//! refusal carries a code and says what to do.
//!
//! Refuses: rules of attendance. It asks the domain and carries out the answer.
