//! Stand-ins for FCM and APNs.
