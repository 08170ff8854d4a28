//! Whom the front door knows, and what it tells devices of their places.
//!
//! Promises: a device signs in with its secret or its certificate, a person with a token and their own name, and
//! nobody else but where the settings let everybody in; what a device is told is what holds now.
//!
//! Refuses: people's passwords, which belong on the sign-in page alone.

use std::sync::Arc;

use rollcall_config::Settings;
use rollcall_domain::code::KeyKind;
use rollcall_domain::ids::DeviceId;
use rollcall_domain::people::Role;
use rollcall_domain::ports::DeviceConfig;
use rollcall_mqtt::{Access, Configs, Credentials, Denied, Identity, Proof};
use rollcall_store::{Store, StoreError};

pub(super) struct Known {
    store: Arc<Store>,
    anonymous: bool,
    timezone: String,
    min_quality_milli: u16,
}

impl Known {
    pub(super) fn new(settings: &Settings, store: &Arc<Store>) -> Self {
        Known {
            store: Arc::clone(store),
            anonymous: settings.mqtt.anonymous,
            timezone: settings.campus.timezone.iana_name().unwrap_or("UTC").to_owned(),
            min_quality_milli: settings.policy().min_quality_milli,
        }
    }

    fn device(&self, shown: &Credentials) -> Result<Option<Identity>, Denied> {
        let Ok(device) = DeviceId::parse(&shown.user_name) else { return Ok(None) };
        let known = self.store.views().now().campus.devices.get(&device).map(|device| device.may_scan());
        let fits = match &shown.proof {
            Proof::Certificate => true,
            Proof::Password(password) => self
                .store
                .register()
                .is_device_secret(&device, &password.0)
                .map_err(|error| unavailable(&error))?,
        };
        match known {
            Some(true) if fits => Ok(Some(Identity::Device(device))),
            Some(false) if fits => Err(Denied::NotAllowed),
            _ => Ok(None),
        }
    }

    /// Admins and monitors, with a token that they made for a program.
    fn person(&self, shown: &Credentials) -> Result<Option<Identity>, Denied> {
        let Proof::Password(token) = &shown.proof else { return Ok(None) };
        let found = self.store.register().user_of_token(&token.0).map_err(|error| unavailable(&error))?;
        let Some((id, _)) = found else { return Ok(None) };
        let key = self.store.pseudonyms().key(KeyKind::Username, &shown.user_name);
        let now = self.store.views().now();
        match now.campus.users.get(&id).filter(|user| user.username == key) {
            None => Ok(None),
            Some(user) if user.active && matches!(user.role, Role::Admin | Role::Monitor) => {
                Ok(Some(Identity::Monitor(id)))
            }
            Some(_) => Err(Denied::NotAllowed),
        }
    }
}

impl Access for Known {
    fn check(&self, shown: &Credentials) -> Result<Identity, Denied> {
        let is_nameless = matches!(&shown.proof, Proof::Password(password) if password.0.is_empty());
        if is_nameless && shown.user_name.is_empty() {
            return if self.anonymous { Ok(Identity::Anonymous) } else { Err(Denied::BadLogin) };
        }
        if let Some(device) = self.device(shown)? {
            return Ok(device);
        }
        self.person(shown)?.ok_or(Denied::BadLogin)
    }
}

impl Configs for Known {
    fn config(&self, device: &DeviceId) -> Option<DeviceConfig> {
        let now = self.store.views().now();
        let device = now.campus.devices.get(device)?;
        let room = device.room.and_then(|room| now.campus.rooms.get(&room)).map(|room| room.code.to_string());
        Some(DeviceConfig {
            name: device.name.clone(),
            room,
            timezone: self.timezone.clone(),
            min_quality_milli: self.min_quality_milli,
        })
    }
}

fn unavailable(error: &StoreError) -> Denied {
    tracing::warn!(%error, "a sign-in cannot be looked up");
    Denied::Unavailable
}
