//! What both HTTP edges share: keys, tenants, apps, devices and how a change is published.
