"""A table with values of every kind that are easily lost, and the columns that must be refused."""

TYPES = """
CREATE EXTENSION hstore SCHEMA public;
CREATE EXTENSION citext SCHEMA public;
CREATE TYPE public.mood AS ENUM ('glad', 'sad', 'it''s "odd", {really}');
CREATE TYPE public.pair AS (amount numeric, label text, moods public.mood[]);
CREATE DOMAIN public.money_amount AS numeric(12, 2) CHECK (VALUE > -1000 OR VALUE = 'NaN');
CREATE DOMAIN public.price AS public.money_amount NOT NULL DEFAULT 0;
CREATE DOMAIN public.code AS varchar(20) COLLATE "C";
CREATE DOMAIN public.numbers AS int[];
CREATE TYPE public.span AS RANGE (subtype = timestamptz);
"""

VALUES: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "oid": ("0", "4294967295"),
    "real": ("'NaN'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1", "16777217"),
    "double precision": ("'NaN'", "'Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1", "1e20"),
    "numeric": (
        "'NaN'",
        "'-Infinity'",
        "1.50",
        "1.5000",
        "0.000",
        "1e-100",
        "12e200",
        "repeat('9', 100)::numeric",
    ),
    "numeric(12,2)": ("'NaN'", "0", "-9999999999.99", "9999999999.99"),
    "numeric(38,10)": ("'NaN'", "1e27", "-0.0000000001"),
    "numeric(40,2)": ("'NaN'", "1e37"),
    "numeric(5,-2)": ("'NaN'", "123400", "-9999900"),
    "numeric(2,6)": ("'NaN'", "0.000099", "-0.000001"),
    "public.money_amount": ("'NaN'", "10.10"),
    "public.price": ("'NaN'", "999"),
    "public.code": ("''", "'ä b'"),
    "public.numbers": ("'{}'", "'{1,NULL,3}'"),
    "money": ("'-1234.50'", "'92233720368547758.07'"),
    "text": ("''", "' '", "E'\\\\.\\n\\\\.\\n'", "E'a\"b,c\\r\\n\\tö\\\\N'", "'NULL'", "repeat('x', 300000)"),
    "varchar(5)": ("''", "'a    '", "'äöü'"),
    "char(5)": ("''", "'a'", "'a   b'"),
    "name": ("'select'", "'Ünï'"),
    '"char"': ("'a'", "''"),
    "bytea": ("''", "'\\x00ff'", "decode(repeat('00ff10', 5000), 'hex')"),
    "uuid": ("'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    "date": (
        "'infinity'",
        "'-infinity'",
        "'4713-01-01 BC'",
        "'0001-01-01'",
        "'9999-12-31'",
        "'5874897-12-31'",
    ),
    "timestamp": (
        "'infinity'",
        "'-infinity'",
        "'4713-01-01 00:00:00.000001 BC'",
        "'0001-01-01'",
        "'9999-12-31 23:59:59.999999'",
        "'294276-12-31 23:59:59.999999'",
    ),
    "timestamptz": (
        "'infinity'",
        "'-infinity'",
        "'4713-01-02 00:00+00 BC'",
        "'0001-12-31 23:59:59.999999+00 BC'",
        "'2024-02-29 12:00:00.000001+02'",
        "'10000-01-01 00:00+00'",
    ),
    "timestamp(0)": ("'2024-02-29 12:00:01'",),
    "time": ("'00:00'", "'24:00'", "'12:00:00.000001'"),
    "timetz": ("'24:00-15:59'", "'12:00:00.5+05:45'"),
    "interval": (
        "'1 mon -2 days 3.000001 s'",
        "'-1 year 2 mons'",
        "'178000000 years'",
        "'-00:00:00.000001'",
        "'1 day -00:00:01'",
    ),
    "interval year to month": ("'3 years 2 mons'",),
    "json": ("""'{"b": 1,  "a": 1.0, "a": null}'""", "'null'", "'\"\\u00e4\"'"),
    "jsonb": ("""'{"b": 1e3, "a": {"c": [null, 1.10]}}'""", "'null'", "'12345678901234567890.123'"),
    "jsonpath": ("'$.a[*] ? (@ > 1)'",),
    "xml": ("'<a b=\"1\">ä</a>'", "'text only'", "'<?xml version=\"1.0\"?><a/>'"),
    "int[]": ("'{}'", "'{1,NULL,3}'", "'[0:2]={1,2,3}'", "'[-1:0][5:6]={{1,2},{3,4}}'", "'{{{1}}}'"),
    "text[]": ("'{}'", "ARRAY['', 'NULL', NULL, 'a\"b', 'c\\d', '{}', ' ', ',']"),
    "timestamptz[]": (
        "ARRAY['infinity', '2024-02-29 12:00+02', NULL, '4713-01-02 00:00+00 BC']::timestamptz[]",
    ),
    "double precision[]": ("ARRAY['NaN', '-0', '0.1', '-Infinity']::float8[]",),
    "bytea[]": ("ARRAY['\\x00', NULL, '']::bytea[]",),
    "public.mood": ("'glad'", "'it''s \"odd\", {really}'"),
    "public.mood[]": ("ARRAY['sad', 'it''s \"odd\", {really}']::public.mood[]",),
    "public.pair": (
        "ROW(1.50, 'a\"(),', ARRAY['sad']::public.mood[])::public.pair",
        "ROW(NULL, '', NULL)::public.pair",
    ),
    "public.pair[]": ("ARRAY[ROW('NaN', NULL, NULL)::public.pair, NULL]",),
    "int4range": ("'empty'", "'(,)'", "'[1,5)'", "'[1,]'"),
    "numrange": ("'[1.50,2.500]'", "'(-Infinity,Infinity)'"),
    "tstzrange": ("'[2024-01-01 00:00+01,infinity]'", "'(,2024-01-01)'"),
    "daterange": ("'[2024-01-01,infinity)'",),
    "public.span": ("'[2024-01-01 00:00+01,)'",),
    "int4multirange": ("'{}'", "'{[1,3),[5,)}'"),
    "tstzmultirange": ("'{[2024-01-01,2024-01-02),(2025-01-01,infinity]}'",),
    "inet": ("'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "'fe80::1/64'"),
    "cidr": ("'10.0.0.0/8'", "'::/0'"),
    "macaddr": ("'08:00:2b:01:02:03'",),
    "macaddr8": ("'08:00:2b:01:02:03:04:05'",),
    "bit(3)": ("'101'",),
    "bit varying": ("''", "'10101010101'"),
    "tsvector": ("'''it''''s'':1A,3 fat:2B cat'", "''"),
    "tsquery": ("'fat & (rat | !cat:*A)'",),
    "point": ("'(0.1,-0)'", "'(NaN,Infinity)'"),
    "line": ("'{1,-1,0.1}'",),
    "lseg": ("'[(0,0.1),(1,1)]'",),
    "box": ("'(1,1),(0,0.1)'",),
    "path": ("'((0,0),(1,1))'", "'[(0,0),(1,1)]'"),
    "polygon": ("'((0,0),(1,1),(1,0))'",),
    "circle": ("'<(0.1,0),5>'",),
    "pg_lsn": ("'16/B374D848'",),
    "xid8": ("'18446744073709551615'",),
    "tid": ("'(4294967294,65535)'",),
    "regclass": ("'pg_class'", "'4000000000'"),
    "regtype": ("'timestamptz'",),
    "public.hstore": ('\'a=>1, "b c"=>NULL, ""=>"x\\"y"\'', "''"),
    "public.citext": ("'Groß'", "''"),
}
"""By type, values as SQL; null is added to each that allows it."""

REFUSED = {
    "regproc": "overloaded",
    "regoper": "overloaded",
    "regproc[]": "overloaded",
    "public.calls": "overloaded",
    "public.called": "overloaded",
    "pg_catalog.gtsvector": "does not read",
}
"""By type, a word of the reason."""
