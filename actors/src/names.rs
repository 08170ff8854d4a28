//! Names of students, kept as long as nothing changes on the campus.
//!
//! Promises: a name that was changed or erased is not told any more once the views have seen that; memory is
//! bounded.
//!
//! Refuses: failing. A name that cannot be looked up is not told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rollcall_domain::campus::Campus;
use rollcall_domain::ids::StudentId;

/// Looking one up means reading a row and unsealing it, which is most of the work of an answer.
const MOST: usize = 20_000;

#[derive(Default)]
pub(crate) struct Names(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Every change of a person makes another campus.
    of: Option<Arc<Campus>>,
    names: HashMap<StudentId, Arc<str>>,
}

impl Names {
    /// The name on this campus; `look_up` is asked if it is not known.
    pub(crate) fn get(
        &self,
        campus: &Arc<Campus>,
        student: StudentId,
        look_up: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, campus)) {
            *known = Known { of: Some(Arc::clone(campus)), names: HashMap::new() };
        }
        if let Some(name) = known.names.get(&student) {
            return Some(name.as_ref().to_owned());
        }
        let name = look_up()?;
        if known.names.len() < MOST {
            known.names.insert(student, name.as_str().into());
        }
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_once_for_each_campus() {
        let (names, campus) = (Names::default(), Arc::new(Campus::default()));
        let ask = |campus: &Arc<Campus>, now: &str| names.get(campus, StudentId(1), || Some(now.to_owned()));
        assert_eq!(ask(&campus, "Amina").as_deref(), Some("Amina"));
        assert_eq!(ask(&campus, "Asel").as_deref(), Some("Amina"));
        let changed = Arc::new(Campus::clone(&campus));
        assert_eq!(ask(&changed, "Asel").as_deref(), Some("Asel"));
        assert_eq!(names.get(&changed, StudentId(2), || None), None);
    }
}
