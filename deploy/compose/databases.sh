#!/bin/sh
# A role and a database for each service, that only this role may enter; at the first start.
set -eu
for service in intake router escalation analytics; do
  variable=$(echo "${service}_PASSWORD" | tr '[:lower:]' '[:upper:]')
  psql -X -q -v ON_ERROR_STOP=1 -v name="casegrid_$service" -v password="$(printenv "$variable")" <<'SQL'
create role :"name" login password :'password';
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done
