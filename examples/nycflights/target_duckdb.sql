-- The redesigned schema, for DuckDB. It differs from target.sql in three ways: a sequence numbers the airports, checked
-- texts stand for the enum types, and there are no foreign keys: DuckDB checks them while a statement still runs, and so
-- refuses to touch an indexed column of a row that is referred to, even where its value stays the same. The references
-- hold nonetheless, because the spec's lookups made them.

create schema core;

create sequence core.airport_id;

create table core.airline (
    code text primary key,
    name text not null
);

create table core.airport (
    airport_id integer primary key default nextval('core.airport_id'),
    faa        text not null unique,
    name       text not null,
    latitude   double not null check (latitude between -90 and 90),
    longitude  double not null check (longitude between -180 and 180),
    altitude_m decimal(8, 2) not null,
    tz         text
);

create table core.plane (
    tail_number      text primary key,
    built            smallint,
    airframe         text not null
        check (airframe in ('fixed_wing_multi_engine', 'fixed_wing_single_engine', 'rotorcraft')),
    manufacturer     text not null,
    model            text not null,
    engines          smallint not null check (engines > 0),
    engine           text not null
        check (engine in ('turbofan', 'turbojet', 'turboprop', 'turboshaft', 'reciprocating', 'four_cycle')),
    seats            smallint not null,
    cruise_speed_kmh decimal(6, 1)
);

create table core.flight (
    carrier             text not null,
    number              integer not null,
    origin              text not null,
    departed_on         date not null,
    origin_id           integer not null,
    dest_id             integer not null,
    tail_number         text,
    plane               text,
    scheduled_departure timestamptz not null,
    departed_at         timestamptz,
    departure_delay     smallint,
    scheduled_arrival   time not null,
    arrived_at          time,
    arrival_delay       smallint,
    air_minutes         smallint,
    distance_km         decimal(7, 1) not null,
    cancelled           boolean not null,
    status              text not null check (status in ('flown', 'cancelled', 'diverted')),
    primary key (carrier, number, origin, departed_on),
    check (cancelled = (status = 'cancelled')),
    check (cancelled = (departed_at is null))
);

create table core.weather (
    origin             text not null,
    observed_at        timestamptz not null,
    temperature_c      decimal(4, 1),
    dew_point_c        decimal(4, 1),
    humidity_pct       decimal(5, 2),
    wind_direction_deg smallint,
    wind_ms            decimal(6, 2),
    gust_ms            decimal(6, 2),
    precipitation_mm   decimal(6, 2),
    pressure_hpa       decimal(6, 1),
    visibility_km      decimal(5, 2),
    primary key (origin, observed_at)
);
