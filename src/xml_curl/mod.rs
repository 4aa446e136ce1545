//! xml_curl
