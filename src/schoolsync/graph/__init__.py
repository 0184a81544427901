"""The Graph face: the protocol of Microsoft Graph's education API over the services, deciding nothing itself."""
