#!/bin/sh
# Checks FreeSWITCH's configuration folder before a restart: was each step of README.md done?
#
#   sh fs-conf/check.sh [FOLDER]        (default: /etc/freeswitch)
#
# It only reads, and follows no includes. Exit status: 0 all is well, 1 something must be fixed, 2 this is no configuration folder.
set -eu

conf=${1:-/etc/freeswitch}
files=$conf/autoload_configs
[ -d "$files" ] || {
  echo "$conf is no configuration folder of FreeSWITCH: it has no autoload_configs/ (fs_cli -x 'global_getvar conf_dir' names it)" >&2
  exit 2
}

broken=0
ok() { printf 'ok    %s\n' "$*"; }
fix() { printf 'FIX   %s\n' "$*"; broken=1; }

# The tags of a file, one a line, without comments, as FreeSWITCH's parser sees them. Quotes become double quotes.
tags() {
  awk '{ text = text $0 " " }
    END {
      while ((start = index(text, "<!--")) > 0) {
        kept = kept substr(text, 1, start - 1)
        text = substr(text, start + 4)
        end = index(text, "-->")
        text = end ? substr(text, end + 3) : ""
      }
      text = kept text
      gsub(/\047/, "\"", text)
      gsub(/</, "\n<", text)
      print text
    }' "$1"
}

# In which tag a module is loaded, counted from the top; nothing if it isn't.
position() { tags "$1" | grep -n "^<load .*module=\"$2\"" | head -n 1 | cut -d : -f 1; }

# The value of a param, as far as it is set.
param() { tags "$1" | sed -n "/^<param /{/name=\"$2\"/s/.*value=\"\([^\"]*\)\".*/\1/p;}" | head -n 1; }

check_modules() {
  file=$files/modules.conf.xml
  [ -e "$file" ] || { fix "$file is missing"; return; }
  curl=$(position "$file" mod_xml_curl) sofia=$(position "$file" mod_sofia)
  if [ -z "$sofia" ]; then
    fix "$file does not load mod_sofia"
  elif [ -z "$curl" ]; then
    fix "$file does not load mod_xml_curl: put <load module=\"mod_xml_curl\"/> above the line of mod_sofia"
  elif [ "$curl" -gt "$sofia" ]; then
    fix "$file loads mod_xml_curl after mod_sofia: move its line above that of mod_sofia"
  else
    ok "modules.conf.xml loads mod_xml_curl before mod_sofia"
  fi
}

check_preload() {
  file=$files/pre_load_modules.conf.xml
  if [ -e "$file" ] && [ -n "$(position "$file" mod_xml_curl)" ]; then
    fix "$file loads mod_xml_curl, and FreeSWITCH crashes at every start: remove that line"
  else
    ok "pre_load_modules.conf.xml leaves mod_xml_curl alone"
  fi
}

check_binding() {
  file=$files/xml_curl.conf.xml
  [ -e "$file" ] || { fix "$file is missing: copy fs-conf/autoload_configs/xml_curl.conf.xml"; return; }
  if ! tags "$file" | grep '^<param .*name="gateway-url"' | grep -q 'bindings="[^"]*configuration'; then
    fix "$file has no gateway-url with bindings=\"configuration\", so FreeSWITCH does not ask trunkd"
  elif [ -z "$(param "$file" timeout)" ]; then
    fix "$file has no timeout: FreeSWITCH hangs as long as trunkd's host does"
  elif [ -z "$(param "$file" response-max-bytes)" ]; then
    fix "$file has no response-max-bytes: FreeSWITCH throws away answers over 1 MiB"
  else
    ok "xml_curl.conf.xml asks $(param "$file" gateway-url)"
  fi
}

check_event_socket() {
  file=$files/event_socket.conf.xml
  [ -e "$file" ] || { fix "$file is missing: copy fs-conf/autoload_configs/event_socket.conf.xml"; return; }
  password=$(param "$file" password)
  if [ -z "$password" ]; then
    fix "$file sets no password"
  elif [ "$password" = ClueCon ]; then
    ok "event_socket.conf.xml; but its password is the one that everybody knows: change it"
  else
    ok "event_socket.conf.xml has a password of its own"
  fi
}

check_fallback() {
  file=$files/sofia.conf.xml
  write="write it anew with \`trunkd render --no-gateways\`"
  if ! [ -e "$file" ]; then
    fix "$file is missing: with trunkd away, FreeSWITCH would start without SIP; $write"
  elif tags "$file" | grep -i '^<X-PRE-PROCESS .*include' | grep -q 'data="[^"]*sip_profiles/\*'; then
    fix "$file includes all of sip_profiles/, which is used instead of trunkd's profiles while trunkd is away; $write"
  elif ! tags "$file" | grep -q '^<profile '; then
    fix "$file holds no profile: with trunkd away, FreeSWITCH would start without SIP; $write"
  elif tags "$file" | grep -q '^<gateway '; then
    fix "$file holds gateways, which FreeSWITCH would register while trunkd is away; $write"
  else
    ok "sofia.conf.xml holds profiles and no gateways"
  fi
}

check_modules
check_preload
check_binding
check_event_socket
check_fallback
exit "$broken"
