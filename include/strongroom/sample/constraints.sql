-- Keys, foreign keys, indexes and views of the sample company, made after the rows are in (see schema.sql).

alter table address add primary key (address_id);
alter table customer add primary key (customer_id);
alter table product add primary key (product_id), add unique (sku);
alter table orders add primary key (order_id, ordered_at);
alter table order_line add primary key (order_id, line_number);
alter table payment add primary key (payment_id);
alter table comment add primary key (comment_id);
alter table newsletter_subscription add primary key (email);
alter table consent add primary key (consent_id);
alter table login_event add primary key (login_event_id);
alter table product_view add primary key (product_id, viewed_on, device);
alter table exchange_rate add primary key (currency, valid_on);
alter table support.staff add primary key (staff_id), add unique (email);
alter table support.ticket add primary key (ticket_id);
alter table support.ticket_message add primary key (message_id);

create unique index customer_email_key on customer (lower(email));
create index customer_address_idx on customer (address_id);
create index customer_referred_by_idx on customer (referred_by) where referred_by is not null;
create index customer_preferences_idx on customer using gin (preferences jsonb_path_ops);
create index customer_last_order_idx on customer (last_order_at);
create index orders_customer_idx on orders (customer_id);
create index orders_unfinished_idx on orders (ordered_at) where status in ('placed', 'paid', 'shipped');
create index payment_order_idx on payment (order_id);
create index comment_target_idx on comment (target_type, target_id);
create index comment_author_idx on comment (author_customer_id) where author_customer_id is not null;
create index newsletter_subscription_topics_idx on newsletter_subscription using gin (topics);
create index consent_customer_idx on consent (customer_id, purpose, recorded_at);
create index login_event_customer_idx on login_event (customer_id);
create index ticket_customer_idx on support.ticket (customer_id);
create index ticket_open_idx on support.ticket (assigned_to) where closed_at is null;
create index ticket_message_ticket_idx on support.ticket_message (ticket_id);

alter table customer
    add foreign key (address_id) references address,
    add foreign key (referred_by) references customer;
alter table orders add foreign key (customer_id) references customer;
alter table order_line
    add foreign key (order_id, ordered_at) references orders,
    add foreign key (product_id) references product;
alter table payment add foreign key (order_id, ordered_at) references orders;
alter table comment
    add foreign key (author_customer_id) references customer,
    add foreign key (author_staff_id) references support.staff;
alter table consent add foreign key (customer_id) references customer;
alter table login_event add foreign key (customer_id) references customer;
alter table product_view add foreign key (product_id) references product;
alter table support.staff add foreign key (manager_id) references support.staff;
alter table support.ticket
    add foreign key (customer_id) references customer,
    add foreign key (assigned_to) references support.staff,
    add foreign key (order_id, ordered_at) references orders;
alter table support.ticket_message
    add foreign key (ticket_id) references support.ticket,
    add foreign key (author_customer_id) references customer,
    add foreign key (author_staff_id) references support.staff;

create view customer_contact as
    select c.customer_id, c.full_name, c.email, c.phone, a.street, a.postal_code, a.city, a.country
    from customer c left join address a using (address_id)
    where c.status = 'active';

create materialized view monthly_revenue as
    select date_trunc('month', ordered_at at time zone 'UTC')::date as month, count(*) as orders, sum(total) as revenue
    from orders where status not in ('cancelled', 'returned') group by 1;
create unique index monthly_revenue_month_key on monthly_revenue (month);
