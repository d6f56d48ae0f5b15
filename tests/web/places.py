"""Every page there is, for tests that look at all of them."""


def furnish(served):
    """Something to be seen on each: credentials that may connect, and {name: place}."""
    user, device, issued = served.provision("laptop", served.api.post("/v1/users", {
        "name": "alice", "display_name": "Alice Example", "email": "alice@example.net", "role": "operator"}))
    phone = served.credential(served.device(user, "phone"), "openvpn")
    served.api.post(f"/v1/devices/{device['id']}/invites", {"protocol": "wireguard"})
    served.api.post("/v1/tokens", {"name": "monitoring", "role": "auditor"})
    other, off, _ = served.provision("tablet", served.api.post("/v1/users", {"name": "bob"}))
    served.api.patch(f"/v1/devices/{off['id']}", {"enabled": False})
    return [issued, phone], {
        "overview": "#/", "devices": "#/devices", "device": f"#/devices/{device['id']}", "add-device": "#/devices/new",
        "users": "#/users", "user": f"#/users/{user['id']}", "audit": "#/audit", "tokens": "#/tokens", "settings": "#/settings",
        "nothing": "#/devices/dev_00000000000000000000000000", "unknown": "#/no/such/page"}
